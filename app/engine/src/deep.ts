/** 16 bits to 8, by the range that the format declares and never by a guess. */

import { rint } from "./bytes.js";
import { RefusedInputError } from "./errors.js";
import type { DeepPixels, Grey } from "./image.js";

const HIGHEST = 65535;

/**
 * A 16-bit grey image as Python's reader scales it.
 * @throws RefusedInputError its brightest pixel shows that fewer bits are in use
 */
export function scaleDeep(values: Uint16Array, width: number, height: number): { pixels: Grey; deep: DeepPixels } {
  let largest = 0;
  for (const value of values) if (value > largest) largest = value;
  if (largest > 0 && largest < 2 ** 15) {
    const bits = largest.toString(2).length;
    throw new RefusedInputError(
      `a 16-bit image whose brightest pixel is ${largest} of ${HIGHEST}, as of ${bits} bits; ` +
        "scale it to the full range or declare the range (TIFF MaxSampleValue)",
    );
  }
  const factor = Math.fround(255 / HIGHEST);
  const table = Uint8Array.from({ length: HIGHEST + 1 }, (_, value) => Math.min(255, rint(Math.fround(value * factor))));
  const data = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) data[i] = table[values[i]!]!;
  const deep = { values: Float32Array.from(values), centre: HIGHEST / 2, width: HIGHEST, inverse: false };
  return { pixels: { width, height, data }, deep };
}
