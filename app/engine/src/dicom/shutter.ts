/** Display shutters (PS3.3 C.7.6.11): the part of a radiograph that its maker wants shown. */

import limits from "../limits.json" with { type: "json" };
import type { Box } from "../geometry.js";
import type { Elements } from "./dataset.js";

const { MIN_SHOWN } = limits.dicom;

/** 1 where the shutters hide the picture; null where nothing is hidden, or the shutter makes no sense. */
export function shutterMask(elements: Elements, width: number, height: number): Uint8Array | null {
  const names = new Set(elements.strings("x00181600").map((name) => name.toUpperCase()));
  if (names.size === 0) return null;
  const tests = [
    names.has("RECTANGULAR") ? rectangle(elements, width, height) : null,
    names.has("CIRCULAR") ? circle(elements) : null,
    names.has("POLYGONAL") ? polygon(elements) : null,
  ].filter((test) => test !== null);
  const hidden = new Uint8Array(width * height);
  let shown = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isShown = tests.every((test) => test(x + 1, y + 1));
      if (isShown) shown++;
      else hidden[y * width + x] = 1;
    }
  }
  const share = shown / hidden.length;
  return share === 1 || share < MIN_SHOWN ? null : hidden;
}

/** Whether a column and row, counted from 1, are shown. */
type Test = (column: number, row: number) => boolean;

function rectangle(elements: Elements, width: number, height: number): Test {
  const edge = (tag: string, standard: number) => elements.integers(tag)[0] ?? standard;
  const [left, right] = [edge("x00181602", 1), edge("x00181604", width)];
  const [top, bottom] = [edge("x00181606", 1), edge("x00181608", height)];
  return (column, row) => column >= left && column <= right && row >= top && row <= bottom;
}

function circle(elements: Elements): Test | null {
  const centre = elements.integers("x00181610");
  const radius = elements.integers("x00181612")[0] ?? 0;
  if (centre.length !== 2 || radius < 1) return null;
  return (column, row) => (row - centre[0]!) ** 2 + (column - centre[1]!) ** 2 <= radius ** 2;
}

/** Even-odd rule, edges included; at the border a pixel may differ from Pillow's drawing. */
function polygon(elements: Elements): Test | null {
  const values = elements.integers("x00181620");
  if (values.length < 6 || values.length % 2) return null;
  const corners = Array.from({ length: values.length / 2 }, (_, i) => [values[2 * i + 1]!, values[2 * i]!] as const);
  return (x, y) => {
    let isInside = false;
    for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
      const [[x0, y0], [x1, y1]] = [corners[i]!, corners[j]!];
      const cross = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0);
      const isOnEdge = cross === 0 && Math.min(x0, x1) <= x && x <= Math.max(x0, x1) && Math.min(y0, y1) <= y && y <= Math.max(y0, y1);
      if (isOnEdge) return true;
      if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) isInside = !isInside;
    }
    return isInside;
  };
}

/** The smallest box around what is not hidden; null where all is. */
export function boundingBox(hidden: Uint8Array, width: number, height: number): Box | null {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (hidden[y * width + x]) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  return right === 0 ? null : [left, top, right, bottom];
}
