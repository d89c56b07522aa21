/** Inputs of the tests: golden files, the drawn chests of tests/golden, real radiographs where there are some. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { load } from "@pneumoscope/engine";
import { nodeAssets } from "@pneumoscope/engine/node";
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
export const otherModels = ["pneumonet"].map((name) => path.join(root, `models/${name}.tflite`)).filter(existsSync);

/**
 * A picture that the page's model judges: a native radiograph, or else the sample that `make app-test` writes, or else a
 * drawn chest that it accepts.
 * @throws Error there is neither
 */
export async function judgeable(): Promise<string> {
  const real = realRadiograph();
  if (real) return real;
  const assets = path.join(pageFolder, "assets");
  const file = readdirSync(assets).find((name) => name.endsWith(".tflite"))!;
  const model = await load(new Uint8Array(readFileSync(path.join(assets, file))), nodeAssets);
  try {
    const sample = path.join(root, "app/dist/chest.png");
    const drawn = ["wide-opacity", "tall", "exact-opacity", "enlarged"].map((name) => chestPng(name));
    for (const picture of [...(existsSync(sample) ? [sample] : []), ...drawn]) {
      const { record } = await model.examine(new Uint8Array(readFileSync(picture)), path.basename(picture));
      if (record.status === "ok") return picture;
    }
  } finally {
    model.close();
  }
  throw new Error("the page's model accepts no drawn chest: run make app-test, or set PNEUMOSCOPE_DATA to a folder of radiographs");
}
