/**
 * JPEG files, decoded by libjpeg-turbo in WebAssembly: the same pixels as Pillow in every browser and in Node.
 *
 * A browser's own decoder would be a little faster, but Safari's is another one, and its pixels are not Pillow's.
 */

import { hasText } from "./bytes.js";
import type { Codecs } from "./codecs.js";
import { DamagedError, RefusedInputError, UnreadableInputError } from "./errors.js";
import { greyAndChroma, orient } from "./grey.js";
import type { Decoded, Grey } from "./image.js";
import limits from "./limits.json" with { type: "json" };
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
  if (header.bits === 12) {
    throw new UnreadableInputError("12-bit JPEG is not read outside DICOM; save it as 8-bit JPEG or PNG");
  }
  if ((components !== 1 && components !== 3) || header.bits !== 8) {
    const layers = `${components} layers of ${header.bits} bits`;
    throw new UnreadableInputError(`a JPEG of an uncommon kind is not read (${layers}); save it as PNG`);
  }
  if (isCutShort(data)) throw new DamagedError("image file is truncated");
  const { info, bytes } = await codecs.decode("jpeg", data);
  if (info.width !== width || info.height !== height) throw new DamagedError("its sizes contradict each other");
  const { pixels, chroma } =
    components === 1
      ? { pixels: { width, height, data: bytes }, chroma: 0 }
      : greyAndChroma(bytes, width, height, 3);
  return { pixels: orient(pixels, header.orientation), width, height, chroma, notes: damageNotes(pixels) };
}

const { MAX_JPEG_SEGMENTS, MAX_JPEG_SCANS, MAX_JPEG_WORK, MIN_STEP, MAX_CONTRAST, DAMAGE_NOTE } = limits.reader;

/**
 * Refuse a JPEG whose parts alone would take minutes: src/pneumoscope/imaging/limits.py.
 * @throws RefusedInputError far more segments or scans than any radiograph has
 */
export function checkJpegStructure(data: Uint8Array, pixels: number): void {
  let segments = 0;
  for (let at = 2; at + 4 <= data.length && data[at] === 0xff && data[at + 1] !== 0xda; ) {
    if (++segments > MAX_JPEG_SEGMENTS) {
      throw new RefusedInputError(`a JPEG of over ${MAX_JPEG_SEGMENTS} segments; save it anew`);
    }
    const marker = data[at + 1]!;
    if (marker === 0xff || STANDALONE.has(marker)) at += marker === 0xff ? 1 : 2;
    else at += 2 + ((data[at + 2]! << 8) | data[at + 3]!);
  }
  let scans = 0;
  for (let at = data.indexOf(0xff); at >= 0; at = data.indexOf(0xff, at + 1)) if (data[at + 1] === 0xda) scans++;
  if (scans > MAX_JPEG_SCANS || (scans > 1 && scans * pixels > MAX_JPEG_WORK)) {
    throw new RefusedInputError(`a JPEG of ${scans} scans, far more than any radiograph has; save it anew`);
  }
}

const BLOCK = 8;

/**
 * The note on a step of brightness along a row of blocks, which a damaged difference of block means leaves behind
 * (src/pneumoscope/imaging/jpeg_damage.py). What libjpeg itself had to guess cannot be asked of its WebAssembly form.
 */
export function damageNotes(pixels: Grey): string[] {
  return hasStep(pixels) ? [DAMAGE_NOTE.replace("{}", "brightness jumps along a row of blocks")] : [];
}

function hasStep({ width, height, data }: Grey): boolean {
  if (height < 3 * BLOCK) return false;
  const stepX = Math.max(1, Math.floor(width / 256));
  const differences = (y: number): number => {
    const values: number[] = [];
    for (let x = 0; x < width; x += stepX) values.push(data[y * width + x]! - data[(y - 1) * width + x]!);
    values.sort((a, b) => a - b);
    return (values[(values.length - 1) >> 1]! + values[values.length >> 1]!) / 2;
  };
  for (let y = BLOCK; y <= height - BLOCK; y += BLOCK) {
    if (Math.abs(differences(y)) < MIN_STEP) continue;
    const below = y + 1 < height ? differences(y + 1) : 0;
    if (Math.max(Math.abs(differences(y - 1)), Math.abs(below)) <= MAX_CONTRAST) return true;
  }
  return false;
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
