/** Inputs of the tests: golden files, the drawn chests of tests/golden, real radiographs where there are some. */

import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { encode } from "fast-png";

export const root = path.resolve(import.meta.dirname, "../../..");
export const golden = (name: string): string => path.join(root, "app/engine/test/golden", name);
export const pageFolder = path.join(root, "src/pneumoscope/serving/on_device/page");
export const scratch = mkdtempSync(path.join(tmpdir(), "pneumoscope-app-"));

/** A drawn chest that the model accepts, as PNG. */
export function chestPng(name = "wide-opacity"): string {
  const bytes = new Uint8Array(readFileSync(path.join(root, `tests/golden/${name}.pgm`)));
  const head = /^P5\s+(\d+)\s+(\d+)\s+255\s/.exec(Buffer.from(bytes.subarray(0, 40)).toString("latin1"))!;
  const data = bytes.subarray(head[0].length);
  const file = path.join(scratch, `${name}.png`);
  writeFileSync(file, encode({ width: Number(head[1]), height: Number(head[2]), data, channels: 1, depth: 8 }));
  return file;
}

/** A native radiograph, or null where PNEUMOSCOPE_DATA names none. */
export function realRadiograph(): string | null {
  const folder = path.join(process.env.PNEUMOSCOPE_DATA ?? "", "native/val/PNEUMONIA");
  const name = "person1946_bacteria_4874.jpeg";
  return process.env.PNEUMOSCOPE_DATA && existsSync(path.join(folder, name)) ? path.join(folder, name) : null;
}

/** The other model files of the repository, for comparisons; empty where there are none. */
export const otherModels = ["lite0-short", "pneumonet"].map((name) => path.join(root, `models/${name}.tflite`)).filter(existsSync);
