/**
 * Pillow's resizing, integer for integer: what the model sees is the same here and in Python.
 *
 * Source: Pillow, src/libImaging/Resample.c and Reduce.c. The numbers are held to golden files that Python writes.
 */

import type { Grey } from "./image.js";

/** Bits after the point of a weight: 32 less 8 for the grey level and 2 for sums above 1. */
const PRECISION = 22;

interface Weights {
  /** First source pixel of each target pixel. */
  readonly first: Int32Array;
  /** How many source pixels count. */
  readonly count: Int32Array;
  /** `size` weights for each target pixel. */
  readonly values: Int32Array;
  readonly size: number;
}

/** Weights of the triangle filter, widened by the factor of reduction, so antialiased. */
function triangleWeights(from: number, to: number): Weights {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const size = Math.ceil(support) * 2 + 1;
  const [first, count, values] = [new Int32Array(to), new Int32Array(to), new Int32Array(to * size)];
  const row = new Float64Array(size);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const n = Math.min(from, Math.trunc(centre + support + 0.5)) - low;
    let sum = 0;
    for (let k = 0; k < n; k++) {
      row[k] = Math.max(0, 1 - Math.abs((k + low - centre + 0.5) * (1 / support)));
      sum += row[k]!;
    }
    for (let k = 0; k < n; k++) {
      values[i * size + k] = Math.trunc(0.5 + (sum === 0 ? row[k]! : row[k]! / sum) * 2 ** PRECISION);
    }
    first[i] = low;
    count[i] = n;
  }
  return { first, count, values, size };
}

/** 22 bits off, between 0 and 255. The sum stays below 2^31, since the weights add up to 2^22. */
function clip8(sum: number): number {
  const value = sum >> PRECISION;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function resizeRows(image: Grey, width: number): Grey {
  const { first, count, values, size } = triangleWeights(image.width, width);
  const out = new Uint8Array(width * image.height);
  for (let y = 0; y < image.height; y++) {
    const row = y * image.width;
    for (let x = 0; x < width; x++) {
      const [start, n, at] = [row + first[x]!, count[x]!, x * size];
      let sum = 1 << (PRECISION - 1);
      for (let k = 0; k < n; k++) sum += image.data[start + k]! * values[at + k]!;
      out[y * width + x] = clip8(sum);
    }
  }
  return { width, height: image.height, data: out };
}

function resizeColumns(image: Grey, height: number): Grey {
  const { first, count, values, size } = triangleWeights(image.height, height);
  const { width, data } = image;
  const out = new Uint8Array(width * height);
  const sums = new Int32Array(width);
  for (let y = 0; y < height; y++) {
    sums.fill(1 << (PRECISION - 1));
    for (let k = 0; k < count[y]!; k++) {
      const [row, weight] = [(first[y]! + k) * width, values[y * size + k]!];
      for (let x = 0; x < width; x++) sums[x]! += data[row + x]! * weight;
    }
    for (let x = 0; x < width; x++) out[y * width + x] = clip8(sums[x]!);
  }
  return { width, height, data: out };
}

/** Squash an image into `width` x `height`: Pillow's `resize(..., BILINEAR)`. Aspect ratio is not kept, nothing is cut. */
export function resizeToInput(image: Grey, width: number, height: number): Grey {
  let out = image;
  if (out.width !== width) out = resizeRows(out, width);
  if (out.height !== height) out = resizeColumns(out, height);
  return out === image ? { ...image, data: image.data.slice() } : out;
}

/** Mean of each box of `factor` x `factor` pixels: Pillow's `reduce(factor)`. */
export function reduce(image: Grey, factor: number): Grey {
  if (factor === 1) return image;
  const [width, height] = [Math.ceil(image.width / factor), Math.ceil(image.height / factor)];
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const rows = Math.min(factor, image.height - y * factor);
    for (let x = 0; x < width; x++) {
      const columns = Math.min(factor, image.width - x * factor);
      let sum = 0;
      for (let v = 0; v < rows; v++) {
        const start = (y * factor + v) * image.width + x * factor;
        for (let u = 0; u < columns; u++) sum += image.data[start + u]!;
      }
      const n = rows * columns;
      data[y * width + x] = Math.floor(((sum + (n >> 1)) * Math.floor(2 ** 24 / n)) / 2 ** 24);
    }
  }
  return { width, height, data };
}
