/** Colour to grey, and how colourful a picture is; bit for bit as Pillow and src/pneumoscope/imaging do it. */

import type { Grey } from "./image.js";

/** Rows and columns, about, on which the chroma of an image is measured. */
const CHROMA_SAMPLES = 256;

/**
 * ITU-R BT.601 luma with Pillow's integers, and the chroma.
 * @param pixels interleaved RGB (`step` 3) or RGBA (`step` 4), opaque
 */
export function greyAndChroma(
  pixels: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  step: 3 | 4,
): { pixels: Grey; chroma: number } {
  const data = new Uint8Array(width * height);
  for (let i = 0, j = 0; i < data.length; i++, j += step) {
    data[i] = (pixels[j]! * 19595 + pixels[j + 1]! * 38470 + pixels[j + 2]! * 7471 + 0x8000) >> 16;
  }
  return { pixels: { width, height, data }, chroma: chromaOf(pixels, width, height, step) };
}

function chromaOf(pixels: Uint8Array | Uint8ClampedArray, width: number, height: number, step: number): number {
  const stepX = Math.max(1, Math.floor(width / CHROMA_SAMPLES));
  const stepY = Math.max(1, Math.floor(height / CHROMA_SAMPLES));
  let sum = 0;
  let count = 0;
  for (let y = 0; y < height; y += stepY) {
    for (let x = 0; x < width; x += stepX) {
      const at = (y * width + x) * step;
      const [r, g, b] = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!];
      sum += Math.max(r, g, b) - Math.min(r, g, b);
      count++;
    }
  }
  return sum / count;
}

/** One channel of a pixel over opaque black, as Pillow's `alpha_composite` rounds it. */
export function overBlack(value: number, alpha: number): number {
  if (alpha === 0) return 0;
  const sum = value * alpha * 128 + 0x4000;
  return (((sum >> 8) + sum) >> 8) >> 7;
}

/** Turn and mirror by an EXIF orientation, 1 to 8. */
export function orient(grey: Grey, orientation: number): Grey {
  if (orientation <= 1 || orientation > 8) return grey;
  const { width, height, data } = grey;
  const swaps = orientation >= 5;
  const [outWidth, outHeight] = swaps ? [height, width] : [width, height];
  const out = new Uint8Array(data.length);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const [u, v] = sourceOf(x, y, width, height, orientation);
      out[y * outWidth + x] = data[v * width + u]!;
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}

function sourceOf(x: number, y: number, width: number, height: number, orientation: number): [number, number] {
  switch (orientation) {
    case 2: return [width - 1 - x, y];
    case 3: return [width - 1 - x, height - 1 - y];
    case 4: return [x, height - 1 - y];
    case 5: return [y, x];
    case 6: return [y, height - 1 - x];
    case 7: return [width - 1 - y, height - 1 - x];
    default: return [width - 1 - y, x];
  }
}
