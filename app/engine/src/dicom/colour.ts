/** Secondary captures in colour: to 8-bit RGB. */

import { DamagedError, RefusedInputError } from "../errors.js";
import type { Elements } from "./dataset.js";
import type { Samples } from "./frame.js";
import type { Header } from "./header.js";

/**
 * @param isRgb whether the decoder has turned luma and chroma into RGB already
 * @returns interleaved RGB
 * @throws RefusedInputError its photometric interpretation is not read
 */
export function colourToRgb(elements: Elements, header: Header, samples: Samples, isRgb: boolean): Uint8Array {
  if (header.photometric === "PALETTE COLOR") return fromPalette(elements, samples);
  if (header.samples === 3 && (isRgb || header.photometric === "RGB")) return upperBits(samples, header.stored);
  if (header.samples === 3 && header.photometric.startsWith("YBR_FULL")) return fromYbr(upperBits(samples, header.stored));
  throw new RefusedInputError(`photometric interpretation ${header.photometric} is not read`);
}

function upperBits(samples: Samples, bits: number): Uint8Array {
  return Uint8Array.from(samples, (value) => value >> Math.max(0, bits - 8));
}

/** PS3.3 C.7.6.3.1.2; rounded as pydicom rounds. */
function fromYbr(samples: Uint8Array): Uint8Array {
  const out = new Uint8ClampedArray(samples.length);
  for (let i = 0; i < samples.length; i += 3) {
    const [y, cb, cr] = [samples[i]!, samples[i + 1]! - 128, samples[i + 2]! - 128];
    out[i] = Math.floor(y + 1.402 * cr + 0.5);
    out[i + 1] = Math.floor(y - ((0.114 * 1.772) / 0.587) * cb - ((0.299 * 1.402) / 0.587) * cr + 0.5);
    out[i + 2] = Math.floor(y + 1.772 * cb + 0.5);
  }
  return new Uint8Array(out.buffer);
}

function fromPalette(elements: Elements, samples: Samples): Uint8Array {
  const descriptor = elements.raw("x00281101");
  if (!descriptor || descriptor.length < 6) throw new DamagedError("its palette is incomplete");
  const view = new DataView(descriptor.buffer, descriptor.byteOffset, 6);
  const count = view.getUint16(0, elements.littleEndian) || 2 ** 16;
  const first = view.getInt16(2, elements.littleEndian);
  const bits = view.getUint16(4, elements.littleEndian);
  const tables = ["x00281201", "x00281202", "x00281203"].map((tag) => paletteTable(elements, tag, count, bits));
  const out = new Uint8Array(samples.length * 3);
  for (let i = 0; i < samples.length; i++) {
    const index = Math.min(Math.max(samples[i]! - first, 0), count - 1);
    for (let c = 0; c < 3; c++) out[i * 3 + c] = tables[c]![index]!;
  }
  return out;
}

/** Entries as 8 bits: the upper ones of 16. */
function paletteTable(elements: Elements, tag: string, count: number, bits: number): Uint8Array {
  const raw = elements.raw(tag);
  if (!raw) throw new DamagedError("its palette is incomplete");
  if (bits === 8 && raw.length < 2 * count) return Uint8Array.from(raw.subarray(0, count));
  if (raw.length < 2 * count) throw new DamagedError("its palette is incomplete");
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const shift = bits === 8 ? 0 : 8;
  return Uint8Array.from({ length: count }, (_, i) => view.getUint16(2 * i, elements.littleEndian) >> shift);
}
