/** Cutting and turning pictures: grey levels and, where there are some, the deep pixels with them. */

import { rint } from "./bytes.js";
import type { Decoded } from "./image.js";

/** Left, top, right, bottom in pixels; right and bottom are the first outside. */
export type Box = readonly [number, number, number, number];

type Pixels = Uint8Array | Float32Array;

function rearrange<T extends Pixels>(data: T, width: number, height: number, source: (x: number, y: number) => number): T {
  const out = new (data.constructor as new (length: number) => T)(width * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out[y * width + x] = data[source(x, y)]!;
  return out;
}

function rearranged(image: Decoded, width: number, height: number, source: (x: number, y: number) => number): Decoded {
  const data = rearrange(image.pixels.data, width, height, source);
  const deep = image.deep ? { ...image.deep, values: rearrange(image.deep.values, width, height, source) } : null;
  return { ...image, pixels: { width, height, data }, deep };
}

/** The part of a picture inside a box, with a note on what was cut away. */
export function cropped(image: Decoded, box: Box, note: string): Decoded {
  const [left, top, right, bottom] = box;
  const { width, height } = image.pixels;
  const isTurned = width > height !== image.width > image.height;
  const shares = [(right - left) / width, (bottom - top) / height];
  const [shareX, shareY] = (isTurned ? shares.reverse() : shares) as [number, number];
  const cut = rearranged(image, right - left, bottom - top, (x, y) => (y + top) * width + x + left);
  return {
    ...cut,
    width: Math.max(1, rint(image.width * shareX)),
    height: Math.max(1, rint(image.height * shareY)),
    notes: [...(image.notes ?? []), note],
  };
}

export function transposed(image: Decoded): Decoded {
  const { width, height } = image.pixels;
  const turned = rearranged(image, height, width, (x, y) => x * width + y);
  return { ...turned, width: image.height, height: image.width };
}

export function flipped(image: Decoded, axis: "x" | "y"): Decoded {
  const { width, height } = image.pixels;
  const source = (x: number, y: number) => (axis === "x" ? y * width + (width - 1 - x) : (height - 1 - y) * width + x);
  return rearranged(image, width, height, source);
}
