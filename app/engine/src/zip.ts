/**
 * The ZIP that a one-file model carries behind its graph.
 *
 * Its entries are stored and its offsets relative to its own start, as Python's `zipfile` writes an archive that is
 * appended to something; common ZIP libraries disagree about such files.
 */

import { ModelFileError } from "./errors.js";

const [END, CENTRAL, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const LONGEST_COMMENT = 65535;

export interface Archive {
  /** Where the archive starts in the file: the length of the graph. */
  readonly start: number;
  readonly entries: ReadonlyMap<string, Uint8Array>;
}

/**
 * Read a stored archive at the end of `file`.
 * @throws ModelFileError there is none, or it is damaged
 */
export function readAppendedZip(file: Uint8Array): Archive {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  try {
    let end = file.length - 22;
    const lowest = Math.max(0, end - LONGEST_COMMENT);
    while (end >= lowest && view.getUint32(end, true) !== END) end--;
    if (end < lowest) throw new RangeError("no end record");
    const directory = end - view.getUint32(end + 12, true);
    const start = directory - view.getUint32(end + 16, true);
    const entries = new Map<string, Uint8Array>();
    let at = directory;
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
      const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) => view.getUint16(at + o, true));
      if (view.getUint32(at, true) !== CENTRAL || view.getUint16(at + 10, true) !== 0) {
        throw new RangeError("not a stored entry");
      }
      const name = new TextDecoder().decode(file.subarray(at + 46, at + 46 + nameLength!));
      const local = start + view.getUint32(at + 42, true);
      if (view.getUint32(local, true) !== LOCAL) throw new RangeError("a local header is missing");
      const from = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const size = view.getUint32(at + 24, true);
      if (from + size > directory) throw new RangeError("an entry is cut short");
      entries.set(name, file.subarray(from, from + size));
      at += 46 + nameLength! + extraLength! + commentLength!;
    }
    return { start, entries };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ModelFileError(
      "carries no contract (a .tflite from elsewhere, or cut short); models that `pneumoscope export` writes carry one",
    );
  }
}
