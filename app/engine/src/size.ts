/** How large an image may be. */

import { RefusedInputError, UnreadableInputError } from "./errors.js";
import limits from "./limits.json" with { type: "json" };

export const { MAX_PIXELS, MAX_BYTES } = limits.reader;

/**
 * Refuse an image by its header alone, before any memory is spent on its pixels.
 * @throws UnreadableInputError a side is zero
 * @throws RefusedInputError more than `MAX_PIXELS` pixels
 */
export function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1) throw new UnreadableInputError(`damaged, its header says ${width} x ${height} pixels`);
  if (width * height > MAX_PIXELS) {
    throw new RefusedInputError(`${width} x ${height} pixels, at most ${MAX_PIXELS / 1e6} megapixels are read`);
  }
}
