/** What a file is, by its content and never by its name: src/pneumoscope/imaging/formats.py in TypeScript. */

import { bytesRepr, hasText, indexOf } from "./bytes.js";
import type { ImageFormat } from "./image.js";
import limits from "./limits.json" with { type: "json" };

const HEAD_BYTES = 4096;
const view = (data: Uint8Array) => new DataView(data.buffer, data.byteOffset, data.byteLength);

/** Format of a file, or null. DICOM goes first, since its preamble may hold anything. */
export function sniff(data: Uint8Array): ImageFormat | null {
  if (looksLikeDicom(data)) return "DICOM";
  if (data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff && !isJpegLs(data)) return "JPEG";
  if (hasText(data, "\x89PNG\r\n\x1a\n")) return "PNG";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].some((mark) => hasText(data, mark))) return "TIFF";
  if (hasText(data, "RIFF") && hasText(data, "WEBP", 8)) return "WebP";
  if (isBitmap(data)) return "BMP";
  if (hasText(data, "GIF87a") || hasText(data, "GIF89a")) return "GIF";
  return null;
}

/** A BMP header says how large its information header is: text that begins with "BM" does not. */
function isBitmap(data: Uint8Array): boolean {
  return hasText(data, "BM") && data.length >= 18 && [12, 40, 52, 56, 64, 108, 124].includes(view(data).getUint32(14, true));
}

/** JPEG-LS starts as a JPEG does; its frame header is marker F7, its presets F8. */
function isJpegLs(data: Uint8Array): boolean {
  const end = Math.min(data.length, HEAD_BYTES);
  for (let at = 2; at + 4 <= end && data[at] === 0xff; ) {
    const marker = data[at + 1]!;
    const isApplication = (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;
    if (!isApplication) return marker === 0xf7 || marker === 0xf8;
    at += 2 + view(data).getUint16(at + 2);
  }
  return false;
}

/** A DICOM file, or a bare data set without the preamble that PS3.10 asks for. */
export function looksLikeDicom(data: Uint8Array): boolean {
  if (hasText(data, "DICM", 128)) return true;
  if (data.length < 8 || data.subarray(0, 4).every((byte) => byte === 0)) return false;
  const isUpper = (byte: number) => byte >= 65 && byte <= 90;
  for (const little of [true, false]) {
    const [group, element] = [view(data).getUint16(0, little), view(data).getUint16(2, little)];
    if ((group !== 0x0002 && group !== 0x0008) || element > 0x0070) continue;
    // VR (explicit) is two capital letters, or the 32-bit length (implicit) is short.
    if ((isUpper(data[4]!) && isUpper(data[5]!)) || view(data).getUint32(4, little) <= 1024) return true;
  }
  return false;
}

type Sniff = (data: Uint8Array) => boolean;

/** Files of the ISO base media format name their kind, and kinds they are compatible with, in the first box. */
function brand(...brands: string[]): Sniff {
  return (data) => {
    if (!hasText(data, "ftyp", 4)) return false;
    const end = Math.min(view(data).getUint32(0), 128);
    const places = [8, ...Array.from({ length: 32 }, (_, i) => 16 + 4 * i).filter((at) => at < end - 3)];
    return places.some((at) => brands.some((name) => hasText(data, name, at)));
  };
}

const starts = (...marks: string[]): Sniff => (data) => marks.some((mark) => hasText(data, mark));
const AS_PNG = "is not read; save it as PNG or JPEG";
const IN_DICOM = "is not read outside DICOM; save it as PNG, or give the DICOM file";
const latin = (data: Uint8Array) => Array.from(data, (byte) => String.fromCharCode(byte)).join("");

/** Kinds of files that are known and not read, with what to do. */
const UNREAD: readonly (readonly [string, Sniff, string])[] = [
  ["AVIF", brand("avif", "avis"), AS_PNG],
  ["HEIC", brand("heic", "heix", "heim", "heis", "hevc", "mif1", "msf1"), AS_PNG],
  ["JPEG XL", starts("\xff\x0a", "\0\0\0\x0cJXL \r\n\x87\n"), AS_PNG],
  ["JPEG-LS", (data) => data[0] === 0xff && data[1] === 0xd8 && isJpegLs(data), IN_DICOM],
  ["JPEG 2000", starts("\xff\x4f\xff\x51", "\0\0\0\x0cjP  \r\n\x87\n"), IN_DICOM],
  ["JPEG XR", starts("II\xbc"), AS_PNG],
  ["PDF", starts("%PDF-"), "is a document; export the radiograph itself"],
  ["ZIP", starts("PK\x03\x04"), "is an archive; unpack it and give the images"],
  ["gzip", starts("\x1f\x8b"), "is compressed; unpack it and give the image"],
  ["NIfTI", (data) => hasText(data, "n+1\0", 344) || hasText(data, "ni1\0", 344), "is a volume; radiographs are pictures or DICOM"],
  ["PGM", (data) => starts("P2", "P5")(data) && /\s/.test(String.fromCharCode(data[2] ?? 0)), AS_PNG],
  ["Photoshop", starts("8BPS"), AS_PNG],
  ["SVG", (data) => indexOf(data, [0x3c, 0x73, 0x76, 0x67], 0, 1024) >= 0, AS_PNG],
  ["HTML", (data) => /^\s*(<!doctype html|<html)/i.test(latin(data.subarray(0, 64))), "is a web page, not an image"],
];

/** Why a file of no known format is none. */
export function describeUnknown(data: Uint8Array): string {
  if (hasText(data, "version https://git-lfs")) {
    return "a Git LFS pointer, not the image itself; run `git lfs pull`";
  }
  const known = UNREAD.find(([, isKind]) => isKind(data.subarray(0, HEAD_BYTES)));
  if (known) return `${known[0]} ${known[2]}`;
  const formats = limits.reader.FORMATS.join(", ");
  return `not an image of a known format (${formats}); it starts with ${bytesRepr(data.subarray(0, 12))}`;
}
