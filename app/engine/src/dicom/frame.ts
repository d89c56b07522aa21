/** The stored values of one frame: uncompressed, RLE, JPEG, JPEG lossless, JPEG-LS, JPEG 2000. */

import type { CodecName } from "../assets.js";
import { indexOf } from "../bytes.js";
import type { Codecs } from "../codecs.js";
import { DamagedError, RefusedInputError } from "../errors.js";
import { checkJpegStructure, readJpegHeader } from "../jpeg.js";
import { BIG_ENDIAN, EXPLICIT, IMPLICIT, type Elements } from "./dataset.js";
import type { Header } from "./header.js";
import { decodeRle } from "./rle.js";

/** Samples interleaved, one number each. */
export type Samples = Uint8Array | Int8Array | Uint16Array | Int16Array;

const NATIVE = new Set([IMPLICIT, EXPLICIT, BIG_ENDIAN]);
const RLE = "1.2.840.10008.1.2.5";
const JPEG = new Set(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"]);
const JPEG_LOSSLESS = new Set(["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"]);
const JPEG_LS = new Set(["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"]);

export interface Frame {
  readonly samples: Samples;
  /** Whether a JPEG decoder has turned luma and chroma into RGB already. */
  readonly isRgb: boolean;
  /** A JPEG of 8 bits with a cosine transform, which may be damaged unseen. */
  readonly isPlainJpeg?: boolean;
}

/**
 * Decode the frame that the header was checked for.
 * @throws DamagedError cut short, damaged, or of another size than the header says
 */
export async function readFrame(elements: Elements, header: Header, codecs: Codecs): Promise<Frame> {
  if (NATIVE.has(elements.syntax)) {
    const bytes = nativeBytes(elements, header);
    if (header.photometric === "YBR_FULL_422") return { samples: fullChroma(bytes, header.columns), isRgb: false };
    return { samples: interleave(toSamples(bytes, header, elements.littleEndian), header), isRgb: false };
  }
  const data = encapsulated(elements);
  if (elements.syntax === RLE) {
    const bytes = decodeRle(data, header.rows * header.columns, header.samples * (header.allocated / 8));
    return { samples: interleave(toSamples(bytes, header, true), { ...header, planar: true }), isRgb: false };
  }
  checkCodestream(data, header);
  if (JPEG.has(elements.syntax)) return fromCodec("jpeg", data, header, codecs);
  if (JPEG_LOSSLESS.has(elements.syntax)) return { samples: await decodeLossless(data, header), isRgb: false };
  return fromCodec(JPEG_LS.has(elements.syntax) ? "jpeg-ls" : "jpeg-2000", data, header, codecs);
}

function nativeBytes(elements: Elements, header: Header): Uint8Array {
  const raw = elements.raw("x7fe00010")!;
  const each = header.photometric === "YBR_FULL_422" ? 2 : header.samples;
  const needed = (header.rows * header.columns * each * header.allocated) / 8;
  if (raw.length < needed) {
    throw new DamagedError(`its pixel data stop too early, ${raw.length} of ${needed} bytes`);
  }
  if (raw.length >= 2 * needed) {
    throw new RefusedInputError(`pixel data of ${Math.floor(raw.length / needed)} frames, one image needed`);
  }
  if (!elements.littleEndian && header.allocated === 8 && elements.element("x7fe00010")!.vr === "OW") {
    return swapped(raw).subarray(0, needed); // bytes in pairs, PS3.5 A.3 and 8.1.1
  }
  return raw.subarray(0, needed);
}

function swapped(bytes: Uint8Array): Uint8Array {
  const own = bytes.slice();
  for (let i = 0; i + 1 < own.length; i += 2) [own[i], own[i + 1]] = [own[i + 1]!, own[i]!];
  return own;
}

/** Two luma, one blue and one red chroma value for each two pixels of a row (PS3.3 C.7.6.3.1.2) to three a pixel. */
function fullChroma(values: Samples, columns: number): Samples {
  if (columns % 2) throw new DamagedError(`${columns} columns of halved chroma`);
  const out = new Uint8Array((values.length / 2) * 3);
  for (let i = 0, o = 0; i < values.length; i += 4, o += 6) {
    out.set([values[i]!, values[i + 2]!, values[i + 3]!, values[i + 1]!, values[i + 2]!, values[i + 3]!], o);
  }
  return out;
}

function encapsulated(elements: Elements): Uint8Array {
  const element = elements.element("x7fe00010")!;
  const fragments = element.fragments ?? [];
  if (fragments.length === 0) throw new DamagedError("its compressed image is missing");
  const parts = fragments.map(({ position, length }) => elements.bytes.subarray(position, position + length));
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A codestream that stops too early, or says another size than the header, is never decoded. */
function checkCodestream(data: Uint8Array, header: Header): void {
  const isJpeg = data[0] === 0xff && data[1] === 0xd8;
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end--;
  if (isJpeg && indexOf(data, [0xff, 0xd9], Math.max(0, end - 64), end) < 0) {
    throw new DamagedError("its compressed image stops too early");
  }
  if (isJpeg) checkJpegStructure(data, header.rows * header.columns);
  const claimed = isJpeg ? readJpegHeader(data) : jpeg2000Size(data);
  if (claimed && (claimed.width !== header.columns || claimed.height !== header.rows)) {
    throw new DamagedError(
      `its header says ${header.columns} x ${header.rows} pixels, its image ${claimed.width} x ${claimed.height}`,
    );
  }
}

function jpeg2000Size(data: Uint8Array): { width: number; height: number } | null {
  const start = indexOf(data, [0xff, 0x4f, 0xff, 0x51], 0, 4096);
  if (start < 0 || data.length < start + 24) return null;
  const view = new DataView(data.buffer, data.byteOffset + start + 8, 16);
  return { width: view.getUint32(0) - view.getUint32(8), height: view.getUint32(4) - view.getUint32(12) };
}

async function fromCodec(name: CodecName, data: Uint8Array, header: Header, codecs: Codecs): Promise<Frame> {
  const { info, bytes } = await codecs.decode(name, data);
  if (info.width !== header.columns || info.height !== header.rows || info.componentCount !== header.samples) {
    throw new DamagedError("its header and its compressed image contradict each other");
  }
  const raw = view16(bytes, info.bitsPerSample > 8, header.signed);
  // Only the stored bits count, and their highest is the sign where the header says so, whatever the codec thinks.
  const samples = dropUnused(raw, header.stored);
  const isRgb = header.samples === 3 && (name === "jpeg" || ["YBR_RCT", "YBR_ICT"].includes(header.photometric));
  return { samples, isRgb, isPlainJpeg: name === "jpeg" };
}

async function decodeLossless(data: Uint8Array, header: Header): Promise<Samples> {
  const { Decoder } = await import("jpeg-lossless-decoder-js");
  const wide = header.allocated === 16;
  let decoded: ArrayBuffer;
  try {
    const copy = data.slice().buffer as ArrayBuffer; // the decoder wants a buffer of its own
    decoded = new Decoder().decompress(copy, 0, copy.byteLength) as ArrayBuffer;
  } catch (error) {
    throw new DamagedError(error instanceof Error ? error.message : String(error));
  }
  const needed = header.rows * header.columns * header.samples * (wide ? 2 : 1);
  if (decoded.byteLength < needed) throw new DamagedError("its compressed image stops too early");
  return dropUnused(view16(new Uint8Array(decoded, 0, needed), wide, header.signed), header.stored);
}

function toSamples(bytes: Uint8Array, header: Header, littleEndian: boolean): Samples {
  const { stored, highBit, allocated } = header;
  if (highBit < stored - 1 || highBit >= allocated) throw new DamagedError(`high bit ${highBit} of ${stored} bits stored`);
  const isWide = allocated === 16;
  // Aligned, and never the file's own bytes.
  const own = isWide && !littleEndian ? swapped(bytes) : bytes.slice();
  const shift = highBit + 1 - stored;
  if (shift > 0) {
    const unsigned = view16(own, isWide, false);
    for (let i = 0; i < unsigned.length; i++) unsigned[i] = unsigned[i]! >> shift;
  }
  return dropUnused(view16(own, isWide, header.signed), stored);
}

function view16(bytes: Uint8Array, wide: boolean, signed: boolean): Samples {
  if (!wide) return signed ? new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes;
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const length = aligned.length >> 1;
  return signed
    ? new Int16Array(aligned.buffer, aligned.byteOffset, length)
    : new Uint16Array(aligned.buffer, aligned.byteOffset, length);
}

/** Only the lowest `bits` of a sample count (PS3.5 8.1.1); the highest of them is the sign where there is one. */
function dropUnused(samples: Samples, bits: number): Samples {
  const shift = 8 * samples.BYTES_PER_ELEMENT - bits;
  if (shift <= 0) return samples;
  // Through 32 bits, so that the typed array cuts what is shifted out and the sign comes back with >>.
  const up = 32 - bits;
  const signed = samples instanceof Int8Array || samples instanceof Int16Array;
  for (let i = 0; i < samples.length; i++) {
    samples[i] = signed ? (samples[i]! << up) >> up : (samples[i]! << up) >>> up;
  }
  return samples;
}

function interleave(samples: Samples, header: Header): Samples {
  if (header.samples === 1 || !header.planar) return samples;
  const n = header.rows * header.columns;
  const out = samples.slice();
  for (let i = 0; i < n; i++) for (let c = 0; c < 3; c++) out[i * 3 + c] = samples[c * n + i]!;
  return out;
}
