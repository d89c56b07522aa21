/** The EXIF orientation of JPEG, PNG and WebP files. */

import { hasText } from "./bytes.js";

const ORIENTATION = 0x0112;

/** Orientation 1 to 8 of a TIFF block (the payload of EXIF); 1 where it does not say. */
export function tiffOrientation(block: Uint8Array): number {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  try {
    const little = hasText(block, "II");
    if (!little && !hasText(block, "MM")) return 1;
    const directory = view.getUint32(4, little);
    const entries = view.getUint16(directory, little);
    for (let i = 0; i < entries; i++) {
      const at = directory + 2 + 12 * i;
      if (view.getUint16(at, little) !== ORIENTATION) continue;
      const value = view.getUint16(at + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a block that ends early says nothing
  }
  return 1;
}
