/** PNG files of every depth and colour type, with the pixels that Pillow gives. */

import { decode, hasPngSignature, type DecodedPng } from "fast-png";

import { hasText } from "./bytes.js";
import { RefusedInputError, DamagedError } from "./errors.js";
import { greyAndChroma, orient, overBlack } from "./grey.js";
import type { Decoded, Grey } from "./image.js";
import { tiffOrientation } from "./orientation.js";
import { scaleDeep } from "./deep.js";

export interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly orientation: number;
  /** What its text says made it. */
  readonly software: string;
}

/** Walk the chunks before any is decompressed. */
export function readPngHeader(data: Uint8Array): PngHeader {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (!hasPngSignature(data) || data.length < 33) throw new DamagedError("its header is missing");
  let [frames, orientation, software] = [1, 1, ""];
  for (let at = 8; at + 12 <= data.length; ) {
    const length = view.getUint32(at);
    if (hasText(data, "acTL", at + 4)) frames = view.getUint32(at + 8);
    if (hasText(data, "eXIf", at + 4)) orientation = tiffOrientation(data.subarray(at + 8, at + 8 + length));
    if (hasText(data, "tEXtSoftware\0", at + 4)) {
      software = new TextDecoder("latin1").decode(data.subarray(at + 17, at + 8 + length));
    }
    at += 12 + length;
  }
  return { software, width: view.getUint32(16), height: view.getUint32(20), frames, orientation };
}

/**
 * @throws DamagedError damaged or cut short
 * @throws RefusedInputError 16 bits of which only few are in use
 */
export function decodePng(data: Uint8Array, header: PngHeader): Decoded {
  const { width, height } = header;
  const png = decodeChecked(data);
  if (png.channels === 1 && png.depth === 16) {
    const { pixels, deep } = scaleDeep(png.data as Uint16Array, width, height);
    // An orientation would have to turn the deep pixels too; radiographs of 16 bits carry none.
    return { pixels: orient(pixels, header.orientation), width, height, chroma: 0, deep: header.orientation > 1 ? null : deep };
  }
  const plain = plainGrey(png);
  if (plain) return { pixels: orient(plain, header.orientation), width, height, chroma: 0 };
  const isClear = isAllTransparent(png);
  const { pixels, chroma } = greyAndChroma(toRgb(png, isClear), width, height, 3);
  const notes = isClear ? ["all of it is declared transparent; its transparency was left out"] : [];
  return { pixels: orient(pixels, header.orientation), width, height, chroma, notes };
}

/** Whether a picture has transparency and nothing but: then it is taken as it is. */
function isAllTransparent(png: DecodedPng): boolean {
  const values = samples(png);
  const { channels, palette, transparency } = png;
  if (palette) return palette.some((colour) => colour.length > 3) && values.every((value) => palette[value]?.[3] === 0);
  if (transparency) {
    return values.every((value, i) => value === transparency[i % channels]);
  }
  if (channels !== 2 && channels !== 4) return false;
  for (let i = channels - 1; i < values.length; i += channels) if (values[i] !== 0) return false;
  return true;
}

function decodeChecked(data: Uint8Array): DecodedPng {
  try {
    return decode(data, { checkCrc: true });
  } catch (error) {
    if (error instanceof RefusedInputError) throw error;
    throw new DamagedError(error instanceof Error ? error.message : String(error));
  }
}

/** Grey of up to 8 bits without transparency; null for all else. */
function plainGrey(png: DecodedPng): Grey | null {
  if (png.channels !== 1 || png.palette || png.transparency) return null;
  return { width: png.width, height: png.height, data: stretch(samples(png), png.depth) };
}

/** One byte a sample, row by row, whatever the depth; of 16 bits the upper 8, as Pillow keeps them. */
function samples(png: DecodedPng): Uint8Array {
  const { width, height, depth, channels, data } = png;
  if (depth === 8) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (depth === 16) return Uint8Array.from(data, (value) => value >> 8);
  const rowBytes = Math.ceil((width * depth) / 8);
  const out = new Uint8Array(width * height * channels);
  const mask = (1 << depth) - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      out[y * width + x] = (data[y * rowBytes + (bit >> 3)]! >> (8 - depth - (bit & 7))) & mask;
    }
  }
  return out;
}

function stretch(values: Uint8Array, depth: number): Uint8Array {
  if (depth >= 8) return values;
  const factor = 255 / ((1 << depth) - 1);
  return values.map((value) => value * factor);
}

/** Interleaved RGB, transparent pixels over black, or as if there were no transparency. */
function toRgb(png: DecodedPng, isOpaque: boolean): Uint8Array {
  const values = samples(png);
  const [n, channels] = [png.width * png.height, png.channels];
  const rgb = new Uint8Array(n * 3);
  if (png.palette) {
    for (let i = 0; i < n; i++) {
      const colour = png.palette[values[i]!];
      if (!colour) continue; // outside the palette: black, as Pillow draws it
      const alpha = isOpaque ? 255 : (colour[3] ?? 255);
      for (let c = 0; c < 3; c++) rgb[i * 3 + c] = overBlack(colour[c]!, alpha);
    }
    return rgb;
  }
  const colours = channels >= 3 ? 3 : 1;
  const hasAlpha = !isOpaque && (channels === 2 || channels === 4);
  const full = stretch(values, png.depth);
  const clear = isOpaque ? undefined : png.transparency;
  for (let i = 0; i < n; i++) {
    const at = i * channels;
    let alpha = hasAlpha ? full[at + channels - 1]! : 255;
    if (clear && Array.from({ length: colours }, (_, c) => values[at + c] === clear[c]).every(Boolean)) alpha = 0;
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = overBlack(full[at + (colours === 3 ? c : 0)]!, alpha);
  }
  return rgb;
}
