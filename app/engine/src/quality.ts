/**
 * Is an image usable at all? The checks of src/pneumoscope/imaging/quality.py, in its order and words.
 *
 * Limits and the mean radiograph come from `limits.json`, which Python writes; nothing is typed twice.
 */

import { fixed, percent } from "./bytes.js";
import type { Grey, GreyImage } from "./image.js";
import limits from "./limits.json" with { type: "json" };
import { reduce, resizeToInput } from "./resize.js";

const L = limits.quality;

/** Reasons why an image cannot be judged, most telling first; empty if it is usable. */
export function assess(image: GreyImage): string[] {
  const size = `${image.width} x ${image.height} pixels`;
  const [short, long] = [Math.min(image.width, image.height), Math.max(image.width, image.height)];
  if (short < L.MIN_SIDE) return [`${size}, at least ${L.MIN_SIDE} x ${L.MIN_SIDE} needed`];
  const small = averageDown(image.pixels);
  const levels = countLevels(small);
  const span = percentileOfCounts(levels, 99) - percentileOfCounts(levels, 1);
  if (span <= L.BLANK_SPAN) {
    return [`blank: nearly every pixel is at grey level ${Math.trunc(percentileOfCounts(levels, 50))}`];
  }
  if (span < L.MIN_SPAN) {
    return [`nearly constant: ${fixed(span, 0)} of 255 grey levels in use, at least ${fixed(L.MIN_SPAN, 0)} needed`];
  }
  const reasons: string[] = [];
  if (long / short > L.MAX_SIDE_RATIO) {
    reasons.push(
      `${size}, one side ${fixed(long / short, 1)} times the other; at most ${fixed(L.MAX_SIDE_RATIO, 0)} is judged`,
    );
  }
  if (image.chroma > L.MAX_CHROMA) {
    reasons.push(
      `a colour picture (chroma ${fixed(image.chroma, 0)}, at most ${fixed(L.MAX_CHROMA, 0)}), not a radiograph`,
    );
  }
  return [...reasons, ...assessGreys(small, levels)];
}

function averageDown(pixels: Grey): Grey {
  return reduce(pixels, Math.max(1, Math.floor(Math.min(pixels.width, pixels.height) / L.MIN_SIDE)));
}

function countLevels(image: Grey): Float64Array {
  const counts = new Float64Array(256);
  for (const value of image.data) counts[value]!++;
  return counts;
}

/** NumPy's linear percentile of the grey levels that were counted. */
function percentileOfCounts(counts: Float64Array, q: number): number {
  const n = counts.reduce((sum, count) => sum + count, 0);
  const place = ((n - 1) * q) / 100;
  const [low, rest] = [Math.floor(place), place - Math.floor(place)];
  const at = (rank: number): number => {
    let seen = 0;
    for (let level = 0; level < 256; level++) {
      seen += counts[level]!;
      if (seen > rank) return level;
    }
    return 255;
  };
  const [a, b] = [at(low), at(Math.min(low + 1, n - 1))];
  return a + (b - a) * rest;
}

function assessGreys(small: Grey, counts: Float64Array): string[] {
  const shares = Array.from(counts, (count) => count / small.data.length);
  const entropy = -shares.reduce((sum, share) => (share > 0 ? sum + share * Math.log2(share) : sum), 0);
  const levels = 2 ** entropy;
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const [white, black] = [sum(shares.slice(248)), sum(shares.slice(0, 8))];
  const [smooth, polarity] = [smoothness(small), polarityOf(small)];
  const reasons: string[] = [];
  if (levels < L.MIN_GREY_LEVELS) {
    reasons.push(`hardly any grey levels (${fixed(levels, 0)} in effect): a drawing, text or screenshot`);
  }
  if (white > L.MAX_WHITE) reasons.push(`overexposed or a printed page: ${percent(white)} of it is white`);
  if (black > L.MAX_BLACK) reasons.push(`underexposed or mostly empty: ${percent(black)} of it is black`);
  if (smooth < L.MIN_SMOOTHNESS) {
    reasons.push(`noise, text or texture: neighbouring pixels correlate by only ${fixed(smooth, 2)}`);
  }
  if (polarity < L.MIN_POLARITY) {
    reasons.push(
      `bright and dark lie as in an inverted chest radiograph (correlation ${fixed(polarity, 2)}): ` +
        "invert it, or check that it shows a chest from the front",
    );
  }
  return reasons;
}

/** Mean correlation of vertical and horizontal neighbours, -1 to 1. */
function smoothness({ width, height, data }: Grey): number {
  const down = correlation((height - 1) * width, (i) => data[i + width]!, (i) => data[i]!);
  const row = width - 1;
  const place = (i: number) => Math.floor(i / row) * width + (i % row);
  const right = correlation(height * row, (i) => data[place(i) + 1]!, (i) => data[place(i)]!);
  return (down + right) / 2;
}

/** Correlation with the mean chest radiograph, -1 to 1. */
function polarityOf(small: Grey): number {
  const mean = L.MEAN_CHEST.flat();
  const tiny = resizeToInput(small, L.MEAN_CHEST[0]!.length, L.MEAN_CHEST.length);
  return correlation(mean.length, (i) => tiny.data[i]!, (i) => mean[i]!);
}

function correlation(n: number, a: (i: number) => number, b: (i: number) => number): number {
  let [sumA, sumB] = [0, 0];
  for (let i = 0; i < n; i++) {
    sumA += a(i);
    sumB += b(i);
  }
  const [meanA, meanB] = [sumA / n, sumB / n];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [da, db] = [a(i) - meanA, b(i) - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  const norm = Math.sqrt(aa * bb);
  return norm > 0 ? ab / norm : 0;
}
