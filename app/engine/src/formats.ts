/** What a file is, by its content and never by its name. */

import { bytesRepr, hasText } from "./bytes.js";
import type { ImageFormat } from "./image.js";
import limits from "./limits.json" with { type: "json" };

/** Format of a file, or null. DICOM goes first, since its preamble may hold anything. */
export function sniff(data: Uint8Array): ImageFormat | null {
  if (looksLikeDicom(data)) return "DICOM";
  if (data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff) return "JPEG";
  if (hasText(data, "\x89PNG\r\n\x1a\n")) return "PNG";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].some((mark) => hasText(data, mark))) return "TIFF";
  if (hasText(data, "RIFF") && hasText(data, "WEBP", 8)) return "WebP";
  if (hasText(data, "BM")) return "BMP";
  if (hasText(data, "GIF87a") || hasText(data, "GIF89a")) return "GIF";
  return null;
}

/** A DICOM file, or a bare data set without the preamble that PS3.10 asks for. */
export function looksLikeDicom(data: Uint8Array): boolean {
  if (hasText(data, "DICM", 128)) return true;
  if (data.length < 8 || data.subarray(0, 4).every((byte) => byte === 0)) return false;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const isLetter = (byte: number) => byte >= 65 && byte <= 90;
  for (const little of [true, false]) {
    const [group, element] = [view.getUint16(0, little), view.getUint16(2, little)];
    if ((group !== 0x0002 && group !== 0x0008) || element > 0x0070) continue;
    // VR (explicit) is two capital letters, or the 32-bit length (implicit) is short.
    if ((isLetter(data[4]!) && isLetter(data[5]!)) || view.getUint32(4, little) <= 1024) return true;
  }
  return false;
}

/** Why a file of no known format is none. */
export function describeUnknown(data: Uint8Array): string {
  if (hasText(data, "version https://git-lfs")) {
    return "a Git LFS pointer, not the image itself; run `git lfs pull`";
  }
  return `not an image of a known format (${limits.reader.FORMATS.join(", ")}); it starts with ${bytesRepr(data.subarray(0, 12))}`;
}
