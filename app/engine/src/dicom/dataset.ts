/** The elements of one DICOM file, read with dicom-parser, and their values as the rest asks for them. */

import dicomParser, { type DataSet, type Element } from "dicom-parser";

import { hasText, indexOf } from "../bytes.js";
import { DamagedError, RefusedInputError } from "../errors.js";
import limits from "../limits.json" with { type: "json" };

export const IMPLICIT = "1.2.840.10008.1.2";
export const EXPLICIT = "1.2.840.10008.1.2.1";
export const BIG_ENDIAN = "1.2.840.10008.1.2.2";
const DEFLATED = "1.2.840.10008.1.2.1.99";

const { MAX_VALUE_BYTES, MAX_TABLES_BYTES, INTERPRETED_GROUPS } = limits.dicom;
/** Modality and VOI LUT Sequence. */
const TABLES = ["x00283000", "x00283010"];

const LONGEST_TEXT = 64;
const oneLine = (text: string) => text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();

/** Read access to one data set, or to an item of a sequence. */
export class Elements {
  readonly syntax: string;
  /** Whether the file ends within its pixel data. */
  isCutShort = false;
  readonly #data: DataSet;

  constructor(data: DataSet, syntax: string) {
    this.#data = data;
    this.syntax = syntax;
  }

  get littleEndian(): boolean {
    return this.syntax !== BIG_ENDIAN;
  }

  get bytes(): Uint8Array {
    return this.#data.byteArray as Uint8Array;
  }

  element(tag: string): Element | undefined {
    return this.#data.elements[tag];
  }

  /** All values of a text attribute, without padding; empty where there is none. */
  strings(tag: string): string[] {
    const text = this.element(tag) ? (this.#data.string(tag) ?? "") : "";
    return text.replace(/[\0 ]+$/, "") === "" ? [] : text.split("\\").map((value) => value.trim());
  }

  /** The first value of a text attribute as one line of at most 64 characters; "" where there is none. */
  text(tag: string): string {
    return oneLine(this.strings(tag)[0] ?? "").slice(0, LONGEST_TEXT);
  }

  /** All values of a text attribute, joined. */
  wholeText(tag: string): string {
    return oneLine(this.strings(tag).join(" "));
  }

  /** Whole numbers of an integer string or of 16-bit values. */
  integers(tag: string): number[] {
    const element = this.element(tag);
    if (!element || element.length === 0) return [];
    if (element.vr === "US" || element.vr === "SS") {
      const read = (i: number) => (element.vr === "US" ? this.#data.uint16(tag, i)! : this.#data.int16(tag, i)!);
      return Array.from({ length: element.length >> 1 }, (_, i) => read(i));
    }
    return this.strings(tag).map((value) => {
      const number = Number(value);
      if (!Number.isFinite(number)) throw new DamagedError(`element ${tag.slice(1)}: ${value.slice(0, 20)} is not a number`);
      return Math.trunc(number);
    });
  }

  /** A 16-bit unsigned attribute. */
  uint16(tag: string): number | undefined {
    const element = this.element(tag);
    return element && element.length >= 2 ? this.#data.uint16(tag) : undefined;
  }

  /**
   * The first value of a decimal or integer string.
   * @throws DamagedError it is no number
   */
  number(tag: string): number | undefined {
    const text = this.text(tag);
    if (text === "") return undefined;
    const value = Number(text);
    if (Number.isNaN(value)) throw new DamagedError(`element ${tag.slice(1)}: ${text.slice(0, 20)} is not a number`);
    return value;
  }

  /** The items of a sequence. */
  items(tag: string): Elements[] {
    const items = this.element(tag)?.items ?? [];
    return items.flatMap((item) => (item.dataSet ? [new Elements(item.dataSet, this.syntax)] : []));
  }

  /** The bytes of an element. */
  raw(tag: string): Uint8Array | undefined {
    const element = this.element(tag);
    return element && this.bytes.subarray(element.dataOffset, element.dataOffset + element.length);
  }
}

/**
 * Parse a file, with or without preamble and file meta information.
 * @throws DamagedError it cannot be parsed
 * @throws RefusedInputError deflated, or an element is longer than any radiograph's
 */
export function parse(data: Uint8Array): Elements {
  if (indexOf(data, Array.from(DEFLATED, (c) => c.charCodeAt(0)), 0, 4096) >= 0) {
    throw new RefusedInputError("the deflated transfer syntax is not read; convert it to Explicit VR");
  }
  const { bytes, syntax: bare } = withPreamble(data);
  let parsed: DataSet;
  try {
    parsed = dicomParser.parseDicom(bytes, bare ? { TransferSyntaxUID: bare } : undefined);
  } catch (thrown) {
    const { exception, dataSet } = thrown as { exception?: unknown; dataSet?: DataSet };
    // What stands before the damage tells what the file is; what is missing is missed when it is asked for.
    if (!dataSet?.elements || Object.keys(dataSet.elements).length === 0) {
      const inner = exception ?? thrown;
      const message = String(inner instanceof Error ? inner.message : inner);
      throw new DamagedError(message.replace(/^dicomParser[.:]\S* ?-? ?/, ""));
    }
    parsed = dataSet;
  }
  const named = parsed.string("x00020010") ?? metaSyntax(bytes);
  const elements = new Elements(parsed, bare ?? named ?? EXPLICIT);
  if (bare && !elements.element("x00080016") && !elements.element("x00280010")) {
    throw new DamagedError("no DICOM data set in it");
  }
  checkLengths(parsed);
  if (!elements.element("x7fe00010") && indexOf(bytes, [0xe0, 0x7f, 0x10, 0x00], 132) >= 0) {
    elements.isCutShort = true;
  }
  return elements;
}

/** dicom-parser wants the preamble, or the transfer syntax of a bare data set. */
function withPreamble(data: Uint8Array): { bytes: Uint8Array; syntax: string | null } {
  if (hasText(data, "DICM", 128)) {
    if (hasSyntax(data)) return { bytes: data, syntax: null };
    return { bytes: data.subarray(afterMeta(data)), syntax: bareSyntax(data.subarray(afterMeta(data))) };
  }
  if (data[0] === 0x02 && data[1] === 0x00) {
    const bytes = new Uint8Array(132 + data.length);
    bytes.set([0x44, 0x49, 0x43, 0x4d], 128);
    bytes.set(data, 132);
    return { bytes, syntax: null };
  }
  return { bytes: data, syntax: bareSyntax(data) };
}

function bareSyntax(data: Uint8Array): string {
  const isLetter = (byte: number | undefined) => byte !== undefined && byte >= 65 && byte <= 90;
  if (!isLetter(data[4]) || !isLetter(data[5])) return IMPLICIT;
  return data[0] === 0 ? BIG_ENDIAN : EXPLICIT;
}

const TRANSFER_SYNTAX_TAG = [0x02, 0x00, 0x10, 0x00, 0x55, 0x49];

function hasSyntax(data: Uint8Array): boolean {
  return indexOf(data, TRANSFER_SYNTAX_TAG, 132, 2048) >= 0;
}

/** Where the file meta information ends: at the first element of another group. */
function afterMeta(data: Uint8Array): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = 132;
  while (at + 8 <= data.length && view.getUint16(at, true) === 0x0002) {
    const long = ["OB", "UN", "SQ", "OW"].some((vr) => hasText(data, vr, at + 4));
    if (long && at + 12 > data.length) break;
    at += long ? 12 + view.getUint32(at + 8, true) : 8 + view.getUint16(at + 6, true);
  }
  return Math.min(at, data.length);
}

/** The transfer syntax, where the parser gave up before it had joined the file meta information to the rest. */
function metaSyntax(data: Uint8Array): string | undefined {
  const at = indexOf(data, TRANSFER_SYNTAX_TAG, 132, 2048);
  if (at < 0) return undefined;
  const length = data[at + 6]! | (data[at + 7]! << 8);
  return String.fromCharCode(...data.subarray(at + 8, at + 8 + length)).replace(/[\0 ]+$/, "");
}

function checkLengths(data: DataSet): void {
  for (const [tag, element] of Object.entries(data.elements)) {
    const group = Number.parseInt(tag.slice(1, 5), 16);
    const most = TABLES.includes(tag) ? MAX_TABLES_BYTES : MAX_VALUE_BYTES;
    if (!INTERPRETED_GROUPS.includes(group) || element.length <= most) continue;
    const name = `(${tag.slice(1, 5)},${tag.slice(5)})`;
    const mebibytes = (element.length / 2 ** 20).toFixed(1);
    throw new RefusedInputError(
      `its element ${name} holds ${mebibytes} MiB, more than any radiograph's; export it anew`,
    );
  }
}
