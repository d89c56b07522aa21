/** WebP, BMP and GIF, which the browser itself decodes. The frame counts are ours: a browser shows the first and is silent. */

import type { BrowserPixels } from "./assets.js";
import { hasText } from "./bytes.js";
import { RefusedInputError } from "./errors.js";
import limits from "./limits.json" with { type: "json" };

const { MAX_GIF_BLOCKS, MAX_GIF_PICTURE_BLOCKS } = limits.reader;

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

/** Pictures of a GIF, and a refusal where it has far more blocks than any picture. */
function countGif(data: Uint8Array): number {
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let [at, frames, pictureBlocks, extensionBlocks] = [13 + tableBytes(data[10] ?? 0), 0, 0, 0];
  const skipBlocks = (): number => {
    let count = 0;
    for (; at < data.length && data[at] !== 0 && count <= MAX_GIF_PICTURE_BLOCKS; count++) at += data[at]! + 1;
    at++;
    return count;
  };
  while (at + 10 < data.length && (data[at] === 0x2c || data[at] === 0x21)) {
    if (data[at] === 0x2c) {
      frames++;
      at += 11 + tableBytes(data[at + 9]!);
      pictureBlocks += skipBlocks();
    } else {
      at += 2;
      extensionBlocks += skipBlocks();
    }
    if (extensionBlocks > MAX_GIF_BLOCKS || pictureBlocks > MAX_GIF_PICTURE_BLOCKS) {
      throw new RefusedInputError("a GIF of far more blocks than any picture has; save it anew");
    }
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
