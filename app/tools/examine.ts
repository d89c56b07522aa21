/**
 * Records of files, from Node: one JSON object a line, with the hash of the decoded pixels and the milliseconds taken.
 *
 *     node --conditions=source --import tsx tools/examine.ts MODEL < paths.txt
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { load } from "@pneumoscope/engine";
import { nodeAssets } from "@pneumoscope/engine/node";

const model = await load(new Uint8Array(readFileSync(process.argv[2]!)), nodeAssets);
for await (const path of createInterface({ input: process.stdin })) {
  if (!path) continue;
  const { record, image, timing } = await model.examine(new Uint8Array(readFileSync(path)), path);
  const pixels = image ? createHash("sha256").update(image.pixels.data).digest("hex") : null;
  process.stdout.write(`${JSON.stringify({ ...record, pixels, timing })}\n`);
}
