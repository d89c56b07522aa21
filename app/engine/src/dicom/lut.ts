/** Lookup tables and windows: PS3.3 C.11.1 and C.11.2, in the numbers that Python computes with. */

import { rint } from "../bytes.js";
import { DamagedError } from "../errors.js";
import type { Elements } from "./dataset.js";

/** One item of a Modality or VOI LUT Sequence. */
export class LookupTable {
  readonly #entries: Uint16Array;
  readonly #first: number;
  /** The largest output that the declared entry depth allows. */
  readonly maximum: number;

  constructor(entries: Uint16Array, first: number, maximum: number) {
    this.#entries = entries;
    this.#first = first;
    this.maximum = maximum;
  }

  /**
   * @param signed whether the inputs are, which decides how the first input value reads
   * @throws DamagedError descriptor and data do not fit each other
   */
  static fromItem(item: Elements, signed: boolean): LookupTable {
    const descriptor = item.raw("x00283002");
    const raw = item.raw("x00283006");
    if (!descriptor || descriptor.length < 6 || !raw) throw new DamagedError("a lookup table is incomplete");
    const view = new DataView(descriptor.buffer, descriptor.byteOffset, 6);
    const count = view.getUint16(0, item.littleEndian) || 2 ** 16;
    const first = signed ? view.getInt16(2, item.littleEndian) : view.getUint16(2, item.littleEndian);
    const bits = view.getUint16(4, item.littleEndian);
    const entries = readEntries(raw, count, item.littleEndian);
    if (entries.length !== count || bits < 8 || bits > 16) {
      throw new DamagedError(`lookup table of ${count} entries of ${bits} bits holds ${entries.length}`);
    }
    return new LookupTable(entries, first, 2 ** bits - 1);
  }

  /** Values outside the table take its first or last entry. */
  apply(value: number): number {
    const index = rint(value) - this.#first;
    return this.#entries[Math.min(Math.max(index, 0), this.#entries.length - 1)]!;
  }
}

function readEntries(raw: Uint8Array, count: number, littleEndian: boolean): Uint16Array {
  if (raw.length === count || raw.length === count + 1) return Uint16Array.from(raw.subarray(0, count));
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const n = Math.min(count, raw.length >> 1);
  return Uint16Array.from({ length: n }, (_, i) => view.getUint16(2 * i, littleEndian));
}

/**
 * A window as a function to 0..1, in float32 as NumPy computes it.
 * @throws DamagedError the function is unknown or the width not allowed for it
 */
export function windowFunction(centre: number, width: number, kind: string): (value: number) => number {
  const f = Math.fround;
  if (!Number.isFinite(centre) || !Number.isFinite(width) || width < (kind === "LINEAR" ? 1 : 1e-6)) {
    throw new DamagedError(`window centre ${centre} and width ${width} make no sense`);
  }
  if (kind === "SIGMOID") {
    return (value) => {
      const exponent = f(f(-4 * f(value - f(centre))) / f(width));
      return f(1 / f(1 + f(Math.exp(Math.min(80, Math.max(-80, exponent))))));
    };
  }
  if (kind !== "LINEAR" && kind !== "LINEAR_EXACT") throw new DamagedError(`unknown VOI LUT function '${kind}'`);
  // A width of 1 is a threshold: the standard's formula divides by width - 1.
  const [c, w] = kind === "LINEAR" ? [f(centre - 0.5), f(Math.max(width - 1, 1e-6))] : [f(centre), f(width)];
  return (value) => Math.min(1, Math.max(0, f(f(f(value - c) / w) + 0.5)));
}
