/** WebP, BMP and GIF, which the browser itself decodes. The frame counts are ours: a browser shows the first and is silent. */

import type { BrowserPixels } from "./assets.js";
import { hasText } from "./bytes.js";

export const MIME: Record<string, string> = { WebP: "image/webp", BMP: "image/bmp", GIF: "image/gif" };

/** How many pictures a WebP, BMP or GIF file holds. */
export function countFrames(data: Uint8Array, format: string): number {
  if (format === "WebP") return countWebp(data);
  return format === "GIF" ? countGif(data) : 1;
}

function countWebp(data: Uint8Array): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let frames = 0;
  for (let at = 12; at + 8 <= data.length; ) {
    if (hasText(data, "ANMF", at)) frames++;
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length & 1);
  }
  return Math.max(1, frames);
}

function countGif(data: Uint8Array): number {
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const skipBlocks = (at: number): number => {
    while (at < data.length && data[at] !== 0) at += data[at]! + 1;
    return at + 1;
  };
  let frames = 0;
  for (let at = 13 + tableBytes(data[10]!); at < data.length && data[at] !== 0x3b; ) {
    if (data[at] === 0x2c) {
      frames++;
      at = skipBlocks(at + 11 + tableBytes(data[at + 9]!));
    } else if (data[at] === 0x21) at = skipBlocks(at + 2);
    else break;
  }
  return Math.max(1, frames);
}

/** Decode with `createImageBitmap` and an offscreen canvas; colour profiles are not applied, as in Python. */
export async function decodeInBrowser(data: Uint8Array, type: string): Promise<BrowserPixels> {
  const blob = new Blob([data as Uint8Array<ArrayBuffer>], { type });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  try {
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    if (!context) throw new Error("no canvas to decode it on");
    context.fillStyle = "black";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    return { width, height, rgba: context.getImageData(0, 0, width, height).data };
  } finally {
    bitmap.close();
  }
}
