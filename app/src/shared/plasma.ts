/**
 * The colour map of heatmaps: plasma (Nathaniel J. Smith and Stéfan van der Walt, 2015, CC0), as
 * src/pneumoscope/drawing/heatmap.py has it: every 16th colour and the last, linear between them.
 */

const ANCHORS: readonly (readonly [number, number, number])[] = [
  [13, 8, 135], [49, 5, 151], [76, 2, 161], [102, 0, 167], [126, 3, 168], [149, 17, 161], [170, 35, 149],
  [188, 53, 135], [204, 71, 120], [217, 88, 106], [229, 107, 93], [240, 127, 79], [248, 148, 65], [253, 171, 51],
  [253, 195, 40], [249, 221, 37], [240, 249, 33],
];

/** RGB, 0 to 255, of a value from 0 to 1. */
export function plasma(value: number): [number, number, number] {
  const place = Math.min(1, Math.max(0, value)) * (ANCHORS.length - 1);
  const low = Math.min(Math.floor(place), ANCHORS.length - 2);
  const rest = place - low;
  const [a, b] = [ANCHORS[low]!, ANCHORS[low + 1]!];
  return [0, 1, 2].map((c) => a[c]! + (b[c]! - a[c]!) * rest) as [number, number, number];
}
