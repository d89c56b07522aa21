/** What a DICOM header says of its image: whether it is a radiograph that can be decoded, and what a reader should know. */

import { DamagedError, RefusedInputError } from "../errors.js";
import limits from "../limits.json" with { type: "json" };
import { checkSize } from "../size.js";
import type { Elements } from "./dataset.js";
import { uidName } from "./names.js";

const D = limits.dicom;

export interface Header {
  readonly rows: number;
  readonly columns: number;
  readonly allocated: 8 | 16;
  readonly stored: number;
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
  if (elements.isCutShort) throw new DamagedError("its pixel data stop too early");
  checkKind(elements);
  const frames = elements.number("x00280008") || 1;
  if (frames > 1) throw new RefusedInputError(`${frames} frames, one image needed; extract the frame to judge`);
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
  return {
    rows,
    columns,
    allocated,
    samples,
    stored: elements.uint16("x00280101") ?? allocated,
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
  const [sopClass, modality] = [elements.text("x00080016"), elements.text("x00080060")];
  if (sopClass === D.FOR_PROCESSING) {
    throw new RefusedInputError("raw detector data 'for processing'; send the 'for presentation' image");
  }
  if (sopClass && !D.RADIOGRAPH_CLASSES.includes(sopClass)) {
    throw new RefusedInputError(`${uidName(sopClass)}, not a CR, DX or secondary-capture image`);
  }
  let allowed = D.RADIOGRAPH_MODALITIES;
  if (sopClass === D.SECONDARY_CAPTURE) allowed = D.CAPTURE_MODALITIES;
  else if (sopClass) allowed = [...allowed, ""];
  if (!allowed.includes(modality)) {
    throw new RefusedInputError(`modality ${modality || "not given"}, only radiographs (CR, DX) are judged`);
  }
}

/** What a reader of the result should know. */
export function headerNotes(elements: Elements): string[] {
  const part = elements.text("x00180015").toUpperCase();
  const view = elements.text("x00185101").toUpperCase();
  const notes: string[] = [];
  if (!D.CHEST_PARTS.includes(part.replaceAll(" ", ""))) {
    notes.push(`its header names the body part ${part}, not the chest`);
  }
  if (D.LATERAL_VIEWS.includes(view)) notes.push(`its header names the view ${view}; the model knows frontal views`);
  return notes;
}
