/**
 * DICOM radiographs in, grey pixels out, as src/pneumoscope/imaging/dicom/pixels.py does it.
 *
 * The grey pipeline is a function of the stored value alone, so it is computed once for each value that can occur.
 */

import { rint } from "../bytes.js";
import type { Codecs } from "../codecs.js";
import { DamagedError, RefusedInputError, UnreadableInputError } from "../errors.js";
import { describeCut } from "../borders.js";
import { cropped, flipped, transposed } from "../geometry.js";
import { greyAndChroma } from "../grey.js";
import type { Decoded, DeepPixels } from "../image.js";
import { damageNotes } from "../jpeg.js";
import limits from "../limits.json" with { type: "json" };
import { colourToRgb } from "./colour.js";
import { parse, type Elements } from "./dataset.js";
import { readFrame, type Samples } from "./frame.js";
import { ageYears, checkHeader, headerNotes, patientOrientation, type Header } from "./header.js";
import { LookupTable, windowFunction } from "./lut.js";
import { boundingBox, shutterMask } from "./shutter.js";

const { MAX_CLIPPED } = limits.dicom;
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
    const frame = await readFrame(elements, header, codecs);
    const size = { width: header.columns, height: header.rows };
    const shared = { ...size, notes: headerNotes(elements), ageYears: ageYears(elements) };
    if (header.samples === 1 && /^MONOCHROME[12]$/.test(header.photometric)) {
      const { grey, deep, padding } = renderMonochrome(elements, header, frame.samples);
      const pixels = { ...size, data: grey };
      const damage = frame.isPlainJpeg ? damageNotes({ ...size, data: new Uint8Array(frame.samples) }) : [];
      const image = { ...shared, pixels, chroma: 0, notes: [...shared.notes, ...damage], deep };
      return upright(elements, withoutHidden(elements, image, padding));
    }
    const rgb = colourToRgb(elements, header, frame.samples, frame.isRgb);
    const red = () => Uint8Array.from({ length: size.width * size.height }, (_, i) => rgb[3 * i]!);
    const damage = frame.isPlainJpeg ? damageNotes({ ...size, data: red() }) : [];
    const image = { ...greyAndChroma(rgb, size.width, size.height, 3), ...shared, notes: [...shared.notes, ...damage] };
    return upright(elements, withoutHidden(elements, image, null));
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
): { grey: Uint8Array; deep: DeepPixels; padding: Uint8Array | null } {
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
  const padding = isPadding ? Uint8Array.from(samples, (sample) => (isPadding(sample) ? 1 : 0)) : null;
  return { grey, deep: { values, centre: shown.centre, width: shown.width, inverse }, padding };
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
  const first = elements.uint16("x00280120");
  if (first === undefined) return null;
  const last = elements.uint16("x00280121") ?? first;
  // The VR may have been guessed wrong: as a pixel of this image would hold it.
  const asPixel = (value: number) => {
    const within = value % 2 ** header.allocated;
    return header.signed && within >= 2 ** (header.allocated - 1) ? within - 2 ** header.allocated : within;
  };
  const [low, high] = [asPixel(first), asPixel(last)].sort((a, b) => a - b) as [number, number];
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
  const counted = levels.filter(({ stored }) => !isPadding?.(stored)).sort((a, b) => a.value - b.value);
  if (width >= 1) {
    const map = windowFunction(centre, width, elements.text("x00281056") || "LINEAR");
    checkWindow(map, counted, `${general(centre)}/${general(width)}`);
    return { map, centre, width };
  }
  let [low, high] = [percentile(counted, LOW_PERCENTILE), percentile(counted, HIGH_PERCENTILE)];
  if (header.stored <= 8 && !header.signed) {
    const modality = modalityFunction(elements, header);
    const ends = [modality(0), modality(2 ** header.stored - 1)];
    [low, high] = [Math.min(...ends), Math.max(...ends)];
  }
  const [bottom, range] = [Math.fround(low), Math.fround(Math.max(high - low, 1e-6))];
  const map = (value: number) => Math.min(1, Math.max(0, Math.fround(Math.fround(value - bottom) / range)));
  return { map, ...span(low, high) };
}

/** A window that puts nearly all pixels at one end of the scale was meant for other values. */
function checkWindow(map: (value: number) => number, levels: readonly Level[], window: string): void {
  let [total, dark, bright] = [0, 0, 0];
  for (const { value, count } of levels) {
    const shown = map(value);
    total += count;
    if (shown <= 0) dark += count;
    if (shown >= 1) bright += count;
  }
  if (Math.max(dark, bright) <= MAX_CLIPPED * total) return;
  const [least, most] = [general(levels[0]!.value), general(levels.at(-1)!.value)];
  throw new RefusedInputError(
    `the header's window ${window} does not meet the pixels ${least}..${most}; ` +
      "export it with the window it is read with",
  );
}

/** A number as Python's format `g` writes it. */
function general(value: number): string {
  const text = String(Number(value.toPrecision(6)));
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

/** Paint black what is padding or what a display shutter hides; cut away rows and columns that are nothing else. */
function withoutHidden(elements: Elements, image: Decoded, padding: Uint8Array | null): Decoded {
  const { width, height, data } = image.pixels;
  const hidden: [string, Uint8Array | null][] = [
    ["declared padding", padding],
    ["what its display shutter hides", shutterMask(elements, width, height)],
  ];
  const masks = hidden.flatMap(([what, mask]) => (mask ? [{ what, mask }] : []));
  if (masks.length === 0) return image;
  const covered = new Uint8Array(data.length);
  for (const { mask } of masks) for (let i = 0; i < covered.length; i++) if (mask[i]) covered[i] = 1;
  const box = boundingBox(covered, width, height);
  if (!box) return image; // nothing would be left: no radiograph is shown like that
  for (let i = 0; i < covered.length; i++) if (covered[i]) data[i] = 0;
  if (box[0] === 0 && box[1] === 0 && box[2] === width && box[3] === height) return image;
  const what = masks.map((mask) => mask.what).join(" and ");
  return cropped(image, box, describeCut(box, width, height, what));
}

/** Turn the picture so that rows run to the patient's left and columns to the feet, if its header says how it lies. */
function upright(elements: Elements, image: Decoded): Decoded {
  const directions = patientOrientation(elements);
  if (!directions || directions.some((direction) => "AP".includes(direction[0]!))) return image;
  let [rows, columns] = [directions[0][0]!, directions[1][0]!];
  if ("LR".includes(rows) === "LR".includes(columns)) return image; // no orientation of a picture
  let turned = image;
  if ("HF".includes(rows)) {
    turned = transposed(turned);
    [rows, columns] = [columns, rows];
  }
  if (rows === "R") turned = flipped(turned, "x");
  if (columns === "H") turned = flipped(turned, "y");
  if (turned === image) return image;
  const note = `turned upright: its header says that it lies as ${directions.join("\\")}`;
  return { ...turned, notes: [...(turned.notes ?? []), note] };
}

function span(a: number, b: number): { centre: number; width: number } {
  return { centre: (a + b) / 2, width: Math.max(Math.abs(b - a), 1) };
}

/** A percentile of float32 values that were counted in rising order, as Python's `_percentiles` gives it. */
function percentile(levels: Level[], q: number): number {
  const n = levels.reduce((sum, { count }) => sum + count, 0);
  const place = (q / 100) * (n - 1);
  const at = (rank: number): number => {
    let seen = 0;
    for (const { value, count } of levels) {
      seen += count;
      if (seen > rank) return value;
    }
    return levels.at(-1)!.value;
  };
  const [below, above] = [at(Math.floor(place)), at(Math.ceil(place))];
  return below + Math.fround(above - below) * (place - Math.floor(place));
}
