/**
 * DICOM radiographs in, grey pixels out, as src/pneumoscope/imaging/dicom/pixels.py does it.
 *
 * The grey pipeline is a function of the stored value alone, so it is computed once for each value that can occur.
 */

import { rint } from "../bytes.js";
import type { Codecs } from "../codecs.js";
import { DamagedError, RefusedInputError, UnreadableInputError } from "../errors.js";
import { greyAndChroma } from "../grey.js";
import type { Decoded, DeepPixels } from "../image.js";
import limits from "../limits.json" with { type: "json" };
import { colourToRgb } from "./colour.js";
import { parse, type Elements } from "./dataset.js";
import { readFrame, type Samples } from "./frame.js";
import { checkHeader, headerNotes, type Header } from "./header.js";
import { LookupTable, windowFunction } from "./lut.js";

const [LOW_PERCENTILE, HIGH_PERCENTILE] = limits.dicom.NO_VOI_PERCENTILES as [number, number];

/**
 * Decode one DICOM file as a viewer would show it.
 * @throws UnreadableInputError damaged or cut short
 * @throws RefusedInputError not a single-frame CR, DX or secondary-capture image, or one that cannot be decoded here
 */
export async function decodeDicom(data: Uint8Array, codecs: Codecs): Promise<Decoded> {
  try {
    const elements = parse(data);
    const header = checkHeader(elements);
    const notes = headerNotes(elements);
    const { samples, isRgb } = await readFrame(elements, header, codecs);
    const size = { width: header.columns, height: header.rows };
    if (header.samples === 1 && header.photometric.startsWith("MONOCHROME")) {
      const { grey, deep } = renderMonochrome(elements, header, samples);
      return { pixels: { ...size, data: grey }, ...size, chroma: 0, notes, deep };
    }
    const rgb = colourToRgb(elements, header, samples, isRgb);
    return { ...greyAndChroma(rgb, size.width, size.height, 3), ...size, notes };
  } catch (error) {
    if (error instanceof RefusedInputError || error instanceof UnreadableInputError) throw error;
    if (error instanceof DamagedError || error instanceof RangeError) {
      const reason = error.message.split(/\s+/).join(" ").slice(0, 200);
      throw new UnreadableInputError(`damaged or cut short DICOM file (${reason})`);
    }
    throw error;
  }
}

/** The values that a frame holds and how often: stored value, value after rescale, count. */
interface Level {
  readonly stored: number;
  readonly value: number;
  readonly count: number;
}

function renderMonochrome(
  elements: Elements,
  header: Header,
  samples: Samples,
): { grey: Uint8Array; deep: DeepPixels } {
  const modality = modalityFunction(elements, header);
  const levels = countLevels(samples, modality);
  const isPadding = paddingTest(elements, header, levels);
  const shown = voi(elements, header, levels, isPadding);
  const inverse = header.photometric === "MONOCHROME1" || elements.text("x20500020") === "INVERSE";
  const [greyOf, valueOf] = [new Uint8Array(2 ** 16), new Float32Array(2 ** 16)];
  for (const { stored, value } of levels) {
    const share = shown.map(value);
    const grey = rint(Math.fround((inverse ? Math.fround(1 - share) : share) * 255));
    greyOf[stored & 0xffff] = isPadding?.(stored) ? 0 : grey;
    valueOf[stored & 0xffff] = value;
  }
  const grey = new Uint8Array(samples.length);
  const values = new Float32Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const at = samples[i]! & 0xffff;
    grey[i] = greyOf[at]!;
    values[i] = valueOf[at]!;
  }
  return { grey, deep: { values, centre: shown.centre, width: shown.width, inverse } };
}

function countLevels(samples: Samples, modality: (stored: number) => number): Level[] {
  const counts = new Uint32Array(2 ** 16);
  for (const sample of samples) counts[sample & 0xffff]!++;
  const signed = samples instanceof Int8Array || samples instanceof Int16Array;
  const levels: Level[] = [];
  for (let at = 0; at < counts.length; at++) {
    if (counts[at] === 0) continue;
    const stored = signed ? (at << 16) >> 16 : at;
    levels.push({ stored, value: modality(stored), count: counts[at]! });
  }
  return levels;
}

/** Padding of PS3.3 C.7.5.1.1.2; null without, or where all would be. */
function paddingTest(elements: Elements, header: Header, levels: Level[]): ((stored: number) => boolean) | null {
  const first = elements.int16("x00280120", header.signed);
  if (first === undefined) return null;
  const last = elements.int16("x00280121", header.signed) ?? first;
  const [low, high] = [Math.min(first, last), Math.max(first, last)];
  const test = (stored: number) => stored >= low && stored <= high;
  const padded = levels.filter(({ stored }) => test(stored)).length;
  return padded > 0 && padded < levels.length ? test : null;
}

function modalityFunction(elements: Elements, header: Header): (stored: number) => number {
  const item = elements.items("x00283000")[0];
  if (item) {
    const table = LookupTable.fromItem(item, header.signed);
    return (stored) => table.apply(stored);
  }
  const slope = Math.fround(elements.number("x00281053") || 1);
  const intercept = Math.fround(elements.number("x00281052") ?? 0);
  return (stored) => Math.fround(Math.fround(stored * slope) + intercept);
}

interface Voi {
  readonly map: (value: number) => number;
  readonly centre: number;
  readonly width: number;
}

/** To 0..1 by the first VOI LUT, else the first window, else robust percentiles. */
function voi(
  elements: Elements,
  header: Header,
  levels: Level[],
  isPadding: ((stored: number) => boolean) | null,
): Voi {
  const item = elements.items("x00283010")[0];
  if (item) {
    const table = LookupTable.fromItem(item, header.signed);
    const map = (value: number) => Math.fround(Math.min(1, Math.max(0, table.apply(value) / table.maximum)));
    return { map, ...span(levels[0]!.value, levels.at(-1)!.value) };
  }
  const [centre, width] = [elements.number("x00281050") ?? NaN, elements.number("x00281051") ?? NaN];
  if (width >= 1) {
    return { map: windowFunction(centre, width, elements.text("x00281056") || "LINEAR"), centre, width };
  }
  const counted = levels.filter(({ stored }) => !isPadding?.(stored)).sort((a, b) => a.value - b.value);
  const [low, high] = [percentile(counted, LOW_PERCENTILE), percentile(counted, HIGH_PERCENTILE)];
  const map = (value: number) =>
    Math.fround(Math.min(1, Math.max(0, (value - low) / Math.max(high - low, 1e-6))));
  return { map, ...span(low, high) };
}

function span(a: number, b: number): { centre: number; width: number } {
  return { centre: (a + b) / 2, width: Math.max(Math.abs(b - a), 1) };
}

/** NumPy's linear percentile of float32 values that were counted in rising order. */
function percentile(levels: Level[], q: number): number {
  const n = levels.reduce((sum, { count }) => sum + count, 0);
  const place = ((n - 1) * q) / 100;
  const [low, rest] = [Math.floor(place), place - Math.floor(place)];
  const at = (rank: number): number => {
    let seen = 0;
    for (const { value, count } of levels) {
      seen += count;
      if (seen > rank) return value;
    }
    return levels.at(-1)!.value;
  };
  const [a, b] = [at(low), at(Math.min(low + 1, n - 1))];
  const difference = Math.fround(b - a);
  return rest >= 0.5 ? b - difference * (1 - rest) : a + difference * rest;
}
