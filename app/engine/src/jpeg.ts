/**
 * JPEG files, decoded by libjpeg-turbo in WebAssembly: the same pixels as Pillow in every browser and in Node.
 *
 * A browser's own decoder would be a little faster, but Safari's is another one, and its pixels are not Pillow's.
 */

import { hasText } from "./bytes.js";
import type { Codecs } from "./codecs.js";
import { DamagedError } from "./errors.js";
import { greyAndChroma, orient } from "./grey.js";
import type { Decoded } from "./image.js";
import { tiffOrientation } from "./orientation.js";

export interface JpegHeader {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  readonly components: number;
  readonly orientation: number;
  /** Marker of the frame, such as 0xc0 for baseline; 0xc3 is lossless, 0xf7 JPEG-LS. */
  readonly frame: number;
}

const STANDALONE = new Set([0x01, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]);

function isStartOfFrame(marker: number): boolean {
  return marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker));
}

/** Read the header of a JPEG or JPEG-LS file, or null where it holds no frame. */
export function readJpegHeader(data: Uint8Array): JpegHeader | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let orientation = 1;
  let at = 2;
  while (at + 9 <= data.length && data[at] === 0xff) {
    const marker = data[at + 1]!;
    if (marker === 0xff || STANDALONE.has(marker)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    if (isStartOfFrame(marker)) {
      return {
        bits: data[at + 4]!,
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components: data[at + 9] ?? 0,
        orientation,
        frame: marker,
      };
    }
    const length = view.getUint16(at + 2);
    if (marker === 0xe1 && hasText(data, "Exif\0\0", at + 4)) {
      orientation = tiffOrientation(data.subarray(at + 10, at + 2 + length));
    }
    at += 2 + length;
  }
  return null;
}

/**
 * @param header from `readJpegHeader`
 * @throws DamagedError damaged, cut short, or of a kind that is not decoded here
 */
export async function decodeJpeg(data: Uint8Array, header: JpegHeader, codecs: Codecs): Promise<Decoded> {
  const { width, height, components } = header;
  if (components !== 1 && components !== 3) {
    throw new DamagedError(`${components} colour channels; save it as grey or RGB`);
  }
  if (header.bits !== 8) throw new DamagedError(`${header.bits} bits a sample; 8 are read in a JPEG`);
  if (isCutShort(data)) throw new DamagedError("image file is truncated");
  const { info, bytes } = await codecs.decode("jpeg", data);
  if (info.width !== width || info.height !== height) throw new DamagedError("its sizes contradict each other");
  if (components === 1) {
    return { pixels: orient({ width, height, data: bytes }, header.orientation), width, height, chroma: 0 };
  }
  const { pixels, chroma } = greyAndChroma(bytes, width, height, 3);
  return { pixels: orient(pixels, header.orientation), width, height, chroma };
}

/**
 * Whether the file ends before its image does. libjpeg fills up what is missing with grey, without a word.
 *
 * Walks the scans to the end marker; what a camera appends after it does not count.
 */
export function isCutShort(data: Uint8Array): boolean {
  for (let at = 2; at + 1 < data.length; ) {
    if (data[at] !== 0xff) {
      at = data.indexOf(0xff, at);
      if (at < 0) return true;
      continue;
    }
    const marker = data[at + 1]!;
    if (marker === 0xd9) return false;
    if (marker === 0x00 || marker === 0xff || STANDALONE.has(marker)) at += marker === 0xff ? 1 : 2;
    else at += 2 + ((data[at + 2]! << 8) | data[at + 3]!);
  }
  return true;
}
