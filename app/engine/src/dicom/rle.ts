/** RLE Lossless (PS3.5 Annex G): PackBits in one segment for each byte of a pixel. */

import { DamagedError } from "../errors.js";

/**
 * @param pixels of the frame
 * @param segments bytes of a pixel over all its samples
 * @returns samples plane after plane, each little-endian
 * @throws DamagedError header and segments do not fit the frame
 */
export function decodeRle(data: Uint8Array, pixels: number, segments: number): Uint8Array {
  if (data.length < 64) throw new DamagedError("its RLE header is cut short");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(0, true) !== segments) {
    throw new DamagedError(`its RLE data have ${view.getUint32(0, true)} segments, ${segments} are needed`);
  }
  const out = new Uint8Array(pixels * segments);
  const bytesEach = segments % 3 === 0 && segments > 2 ? segments / 3 : segments;
  for (let s = 0; s < segments; s++) {
    const start = view.getUint32(4 + 4 * s, true);
    const end = s + 1 < segments ? view.getUint32(8 + 4 * s, true) : data.length;
    if (start < 64 || end > data.length || end < start) throw new DamagedError("its RLE offsets lie outside the data");
    const [plane, byte] = [Math.floor(s / bytesEach), s % bytesEach];
    // The first segment of a sample is its most significant byte.
    const first = plane * pixels * bytesEach + (bytesEach - 1 - byte);
    unpack(data.subarray(start, end), out, first, bytesEach, pixels);
  }
  return out;
}

function unpack(data: Uint8Array, out: Uint8Array, first: number, step: number, pixels: number): void {
  let [at, done] = [0, 0];
  const put = (value: number) => {
    if (done === pixels) throw new DamagedError("an RLE segment holds more than its pixels");
    out[first + done++ * step] = value;
  };
  while (done < pixels && at < data.length) {
    const control = data[at++]!;
    if (control === 128) continue;
    const count = control < 128 ? control + 1 : 257 - control;
    if (control < 128) {
      if (at + count > data.length) throw new DamagedError("an RLE segment stops too early");
      for (let i = 0; i < count; i++) put(data[at++]!);
    } else {
      const value = data[at++];
      if (value === undefined) throw new DamagedError("an RLE segment stops too early");
      for (let i = 0; i < count; i++) put(value);
    }
  }
  if (done < pixels) throw new DamagedError("an RLE segment stops too early");
}
