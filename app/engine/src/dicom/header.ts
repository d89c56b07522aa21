/** What a DICOM header says of a radiograph beside its pixels: src/pneumoscope/imaging/dicom/header.py in TypeScript. */

import { DamagedError, RefusedInputError } from "../errors.js";
import limits from "../limits.json" with { type: "json" };
import { checkSize } from "../size.js";
import type { Elements } from "./dataset.js";
import { uidName } from "./names.js";

const D = limits.dicom;
const { PROGRAM } = limits.reader;
const CHEST_WORDS = new RegExp(D.CHEST_WORDS);
const OTHER_VIEW = new RegExp(D.OTHER_VIEW, "i");

/** Manufacturer, its model, series description, software, comments, derivation. */
const MAKER_TAGS = ["x00080070", "x00081090", "x0008103e", "x00181020", "x00204000", "x00082111"];

export interface Header {
  readonly rows: number;
  readonly columns: number;
  readonly allocated: 8 | 16;
  readonly stored: number;
  readonly highBit: number;
  readonly samples: 1 | 3;
  readonly signed: boolean;
  readonly planar: boolean;
  readonly photometric: string;
}

/**
 * Refuse what is not one radiograph of a decodable kind, before its pixels are touched.
 * @throws RefusedInputError it is not
 * @throws DamagedError attributes of the image are missing
 */
export function checkHeader(elements: Elements): Header {
  checkKind(elements);
  const frames = elements.number("x00280008") || 1;
  if (frames > 1) throw new RefusedInputError(`${frames} frames, one image needed; extract the frame to judge`);
  if (elements.element("x7fe00008") || elements.element("x7fe00009")) {
    throw new RefusedInputError("float pixel data are not read; export it with integer pixels");
  }
  if (elements.isCutShort) throw new DamagedError("its pixel data stop too early");
  const pixelData = elements.element("x7fe00010");
  if (!pixelData || (pixelData.length === 0 && !pixelData.fragments)) {
    throw new RefusedInputError("a DICOM file without pixel data; send the image itself, whole");
  }
  const [rows, columns] = [required(elements, "x00280010", "Rows"), required(elements, "x00280011", "Columns")];
  checkSize(columns, rows);
  if (!D.TRANSFER_SYNTAXES.includes(elements.syntax)) {
    throw new RefusedInputError(`transfer syntax ${uidName(elements.syntax)} is not read`);
  }
  const allocated = required(elements, "x00280100", "BitsAllocated");
  const samples = required(elements, "x00280002", "SamplesPerPixel");
  if ((allocated !== 8 && allocated !== 16) || (samples !== 1 && samples !== 3)) {
    throw new RefusedInputError(
      `${samples} samples of ${allocated} bits a pixel; 1 or 3 samples of 8 or 16 bits are read`,
    );
  }
  const stored = required(elements, "x00280101", "BitsStored");
  if (stored < 1 || stored > allocated) throw new DamagedError(`${stored} bits stored in ${allocated}`);
  return {
    rows,
    columns,
    allocated,
    samples,
    stored,
    highBit: elements.uint16("x00280102") ?? stored - 1,
    signed: elements.uint16("x00280103") === 1,
    planar: elements.uint16("x00280006") === 1,
    photometric: elements.text("x00280004"),
  };
}

function required(elements: Elements, tag: string, name: string): number {
  const value = elements.uint16(tag);
  if (value === undefined) throw new DamagedError(`'FileDataset' object has no attribute '${name}'`);
  return value;
}

function checkKind(elements: Elements): void {
  // Where de-identification stripped the SOP class, that of the file meta information.
  const sopClass = elements.text("x00080016") || elements.text("x00020002");
  const modality = elements.text("x00080060").toUpperCase();
  if (sopClass === D.FOR_PROCESSING) {
    throw new RefusedInputError("raw detector data 'for processing'; send the 'for presentation' image");
  }
  if (sopClass && !D.RADIOGRAPH_CLASSES.includes(sopClass)) {
    const known = D.OBJECTS.find(([prefix]) => sopClass.startsWith(prefix!))?.[1];
    throw new RefusedInputError(known ?? `${uidName(sopClass)}, not a CR, DX or secondary-capture image`);
  }
  let allowed = D.RADIOGRAPH_MODALITIES;
  if (D.CAPTURE_CLASSES.includes(sopClass)) allowed = D.CAPTURE_MODALITIES;
  else if (sopClass) allowed = [...allowed, ""];
  if (!allowed.includes(modality)) {
    throw new RefusedInputError(`modality ${modality || "not given"}, only radiographs (CR, DX) are judged`);
  }
  if (MAKER_TAGS.some((tag) => elements.wholeText(tag).toLowerCase().includes(PROGRAM.toLowerCase()))) {
    throw new RefusedInputError(`a picture that ${PROGRAM} made itself; give the radiograph it was made from`);
  }
}

/** What the reader of a judged record must know: headers are too often wrong to refuse by. */
export function headerNotes(elements: Elements): string[] {
  const [part, view] = [bodyPart(elements), otherView(elements)];
  const notes: string[] = [];
  if (part) notes.push(`its header names the body part ${part}, not the chest`);
  if (view) notes.push(`its header names the view ${view}; the model knows frontal views`);
  if (elements.text("x00280301").toUpperCase() === "YES") notes.push("its header says that text is burnt into the picture");
  const kinds = elements.strings("x00080008").map((kind) => kind.toUpperCase());
  if (kinds[0] === "DERIVED" && kinds[1] === "SECONDARY") {
    notes.push("its header says DERIVED and SECONDARY: a program made this picture from another");
  }
  return notes;
}

/** Code meanings of a sequence's items. */
function meanings(elements: Elements, tag: string): string[] {
  return elements.items(tag).map((item) => item.text("x00080104")).filter(Boolean);
}

/** The body part where it is not the chest. */
function bodyPart(elements: Elements): string {
  const named = elements.text("x00180015").toUpperCase();
  if (named && D.CHEST_PARTS.includes(named.replaceAll(" ", ""))) return "";
  const part = named || (meanings(elements, "x00082218")[0]?.toUpperCase() ?? "");
  return part && !CHEST_WORDS.test(part) ? part : "";
}

/** The view where it is not frontal: by position, by code, or by the directions in which rows and columns run. */
function otherView(elements: Elements): string {
  const view = elements.text("x00185101").toUpperCase();
  if (D.LATERAL_VIEWS.includes(view) || OTHER_VIEW.test(view)) return view;
  const meaning = meanings(elements, "x00540220").find((each) => OTHER_VIEW.test(each));
  if (meaning) return meaning;
  const directions = patientOrientation(elements);
  if (!view && directions?.some((direction) => "AP".includes(direction[0]!))) {
    return `lateral (patient orientation ${directions.join("\\")})`;
  }
  return "";
}

/** Directions in which rows and columns run (PS3.3 C.7.6.1.1.1), as in ["L", "F"]. */
export function patientOrientation(elements: Elements): [string, string] | null {
  const values = elements.strings("x00200020").map((value) => value.toUpperCase());
  const isDirection = (value: string) => /^[LRAPHF]{1,3}$/.test(value);
  return values.length === 2 && values.every(isDirection) ? [values[0]!, values[1]!] : null;
}

const YEARS: Record<string, number> = { D: 1 / 365.25, W: 7 / 365.25, M: 1 / 12, Y: 1 };

/** Age at the examination in years: as stated, else from the dates of birth and examination. */
export function ageYears(elements: Elements): number | null {
  const stated = /^(\d{1,3})([DWMY])$/.exec(elements.text("x00101010").toUpperCase());
  if (stated) return Number(stated[1]) * YEARS[stated[2]!]!;
  const born = dateOf(elements.text("x00100030"));
  const examined = ["x00080022", "x00080020", "x00080023", "x00080021"].map((tag) => dateOf(elements.text(tag))).find((day) => day !== null);
  if (born === null || examined === undefined || examined === null || examined < born) return null;
  const years = (examined - born) / 365.25;
  return years <= 130 ? years : null;
}

/** Days since 1970, or null for what is no date. */
function dateOf(value: string): number | null {
  const [, year, month, day] = /^(\d{4})(\d{2})(\d{2})/.exec(value.replaceAll(".", "")) ?? [];
  if (!year) return null;
  const time = Date.UTC(Number(year), Number(month) - 1, Number(day));
  const isReal = new Date(time).getUTCDate() === Number(day) && new Date(time).getUTCMonth() === Number(month) - 1;
  return isReal ? time / 86_400_000 : null;
}
