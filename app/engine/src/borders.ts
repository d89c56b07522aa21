/** Bars of one grey level at the edges, found and cut away: src/pneumoscope/imaging/borders.py in TypeScript. */

import { percent } from "./bytes.js";
import { type Box, cropped } from "./geometry.js";
import type { Decoded, Grey } from "./image.js";
import limits from "./limits.json" with { type: "json" };

const { BAR_TOLERANCE, MIN_BAR, MIN_KEPT } = limits.borders;

/** A picture without its bars; what is cut is said in a note. */
export function withoutBars(image: Decoded): Decoded {
  const box = findBars(image.pixels);
  const { width, height } = image.pixels;
  if (box[0] === 0 && box[1] === 0 && box[2] === width && box[3] === height) return image;
  return cropped(image, box, describeCut(box, width, height, "bars of one grey level"));
}

/** The box that is left when bars are cut away; the whole picture where hardly anything would be left. */
export function findBars(pixels: Grey): Box {
  const { width, height } = pixels;
  const whole: Box = [0, 0, width, height];
  let sides = barsAtSides(pixels, 0, height);
  if (sides[0] + sides[1] > (1 - MIN_KEPT) * width) return whole;
  const [top, bottom] = barsAboveAndBelow(pixels, sides[0], width - sides[1]);
  if (top + bottom > (1 - MIN_KEPT) * height) return whole;
  if (top || bottom) {
    // Bars above and below may have hidden where those at the sides end.
    sides = barsAtSides(pixels, top, height - bottom);
    if (sides[0] + sides[1] > (1 - MIN_KEPT) * width) return whole;
  }
  return [sides[0], top, width - sides[1], height - bottom];
}

type Line = (i: number) => number;

function barsAtSides({ width, data }: Grey, top: number, bottom: number): [number, number] {
  const column = (x: number): Line => (i) => data[(top + i) * width + x]!;
  const length = bottom - top;
  return [bar(width, length, column), bar(width, length, (x) => column(width - 1 - x))];
}

function barsAboveAndBelow({ width, height, data }: Grey, left: number, right: number): [number, number] {
  const row = (y: number): Line => (i) => data[y * width + left + i]!;
  const length = right - left;
  return [bar(height, length, row), bar(height, length, (y) => row(height - 1 - y))];
}

/** How many lines from the first on are of one grey level; 0 where they are too few to be a bar. */
function bar(lines: number, length: number, line: (n: number) => Line): number {
  const least = Math.max(1, Math.round(MIN_BAR * lines));
  const level = median(length, line(0));
  const [low, high] = [Math.max(0, level - BAR_TOLERANCE), Math.min(255, level + BAR_TOLERANCE)];
  const isFlat = (n: number): boolean => {
    const at = line(n);
    for (let i = 0; i < length; i++) if (at(i) < low || at(i) > high) return false;
    return true;
  };
  let count = 0;
  while (count < lines && isFlat(count)) count++;
  return count < least ? 0 : count;
}

function median(length: number, line: Line): number {
  const counts = new Uint32Array(256);
  for (let i = 0; i < length; i++) counts[line(i)]!++;
  const at = (rank: number): number => {
    let seen = 0;
    for (let level = 0; level < 256; level++) {
      seen += counts[level]!;
      if (seen > rank) return level;
    }
    return 255;
  };
  return Math.trunc((at((length - 1) >> 1) + at(length >> 1)) / 2);
}

/** The note on a cut, as in "bars of one grey level cut away (12% left)". */
export function describeCut([left, top, right, bottom]: Box, width: number, height: number, what: string): string {
  const cuts = { left: left / width, right: 1 - right / width, top: top / height, bottom: 1 - bottom / height };
  const sides = Object.entries(cuts).flatMap(([side, share]) => (share > 0 ? [`${percent(share)} ${side}`] : []));
  return `${what} cut away (${sides.join(", ")})`;
}
