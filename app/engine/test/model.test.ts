/** The one-file model: taken apart, checked, and run by LiteRT in Node to what Python says of the same pictures. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { csvRow } from "../../src/files.ts";
import { scoreText, shareText } from "../../src/result-view.ts";
import { bytesRepr, fixed, rint } from "../src/bytes.ts";
import { parseContract } from "../src/contract.ts";
import { ContractError, ModelFileError } from "../src/errors.ts";
import type { GreyImage } from "../src/image.ts";
import { load, relabel, unpack } from "../src/index.ts";
import { nodeAssets } from "../src/node.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const builtIn = new Uint8Array(readFileSync(path.join(root, "src/pneumoscope/models/builtin.tflite")));
const golden = path.join(root, "tests/golden");

interface Case {
  readonly input: string;
  readonly probability: number;
  readonly typicality: number;
  readonly refused: boolean;
  readonly label: string | null;
}
const expected = JSON.parse(readFileSync(path.join(golden, "expected.json"), "utf-8")) as {
  readonly model: { readonly sha256: string };
  readonly operating_point: string;
  readonly cases: Record<string, Case>;
};

function readPgm(name: string): GreyImage {
  const bytes = new Uint8Array(readFileSync(path.join(golden, name)));
  const head = /^P5\s+(\d+)\s+(\d+)\s+255\s/.exec(Buffer.from(bytes.subarray(0, 40)).toString("latin1"))!;
  const [width, height] = [Number(head[1]), Number(head[2])];
  const pixels = { width, height, data: bytes.subarray(head[0].length) };
  return { pixels, width, height, chroma: 0, format: "PNG", sha256: "0".repeat(64), notes: [], deep: null, ageYears: null };
}

test("the built-in model says what Python says", async () => {
  const model = await load(builtIn, nodeAssets);
  assert.equal(model.info.sha256, expected.model.sha256);
  assert.equal(model.contract.defaultOperatingPoint, expected.operating_point);
  // Activations that are quantised while running round otherwise on each kind of processor: docs/models.md.
  const isDynamic = model.contract.quantization === "dynamic";
  for (const [name, want] of Object.entries(expected.cases)) {
    const { record, heatmap } = await model.examineImage(readPgm(want.input), name);
    if (want.refused || record.reasons.some((reason) => reason.includes("grey levels"))) {
      assert.equal(record.status, "refused");
      continue;
    }
    assert.equal(record.status, "ok", record.reasons.join());
    assert.equal(record.label, want.label);
    assert.ok(Math.abs(record.probability! - want.probability) < (isDynamic ? 0.02 : 0.001), `${record.probability} ${want.probability}`);
    assert.ok(Math.abs(record.typicality! - want.typicality) < (isDynamic ? 0.05 : 0.001), `${record.typicality} ${want.typicality}`);
    assert.equal(heatmap!.data.length, heatmap!.width * heatmap!.height);
  }
  const { record } = await model.examine(new Uint8Array(0), "empty.jpg");
  assert.deepEqual([record.status, record.sha256], ["error", null]);
  assert.deepEqual(record.reasons, ["empty.jpg: empty, 0 bytes; send the image again"]);
  await assert.rejects(model.examine(new Uint8Array(9), "x", "no such point"), /has none of that name/);
  model.close();
});

test("another operating point needs no new judgement", async () => {
  const model = await load(builtIn, nodeAssets);
  const { contract } = model;
  const { record } = await model.examineImage(readPgm("tall.pgm"), "tall");
  model.close();
  // Drawn chests may be refused: what is re-labelled here is a score of each side.
  for (const probability of [0.001, 0.4, 0.6, 0.999]) {
    for (const [name, point] of Object.entries(contract.operatingPoints)) {
      const again = relabel({ ...record, status: "ok", probability }, contract, name);
      assert.equal(again.operating_point, name);
      assert.equal(again.label, contract.labels[probability >= point.threshold ? 1 : 0]);
      assert.ok(!again.prediction_set || again.prediction_set.includes(again.label!));
    }
  }
});

test("what is no model says why", async () => {
  const refuses = (file: Uint8Array, words: RegExp, kind = ModelFileError) =>
    assert.rejects(unpack(file), (error: Error) => error instanceof kind && words.test(error.message));
  await refuses(new TextEncoder().encode("version https://git-lfs.github.com/spec/v1"), /Git LFS pointer/);
  await refuses(new TextEncoder().encode("PK and so on"), /not a LiteRT/);
  const { graph } = await unpack(builtIn);
  await refuses(graph.slice(), /carries no contract/);
  await refuses(builtIn.subarray(0, builtIn.length - 40), /carries no contract/);
  const changed = builtIn.slice();
  changed[graph.length >> 1]! ^= 1;
  await refuses(changed, /not the one its contract was written for/);
});

test("a contract that cannot be honoured says why", async () => {
  const { contract } = await unpack(builtIn);
  const change = (changes: Record<string, unknown>) => () => parseContract(JSON.stringify({ ...contract.raw, ...changes }));
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ contract_version: 99 }, /reads up to \d+; install a newer one/],
    [{ contract_version: "one" }, /not a number from 1 on/],
    [{ later_field: 1 }, /unknown keys later_field/],
    [{ default_operating_point: "none" }, /not among those listed/],
    [{ operating_points: { balanced: { threshold: 2, sensitivity: 1, specificity: 1 } } }, /must be 0 to 1/],
    [{ labels: ["A"] }, /two labels/],
    [{ input_width: 0 }, /not between 1 and 4096/],
    [{ resize_filter: "nearest" }, /not a valid ResizeFilter/],
  ];
  for (const [changes, words] of cases) {
    assert.throws(change(changes), (error: Error) => error instanceof ContractError && words.test(error.message), String(words));
  }
  assert.throws(() => parseContract("{"), /is not JSON/);
});

test("numbers are written as Python writes them", () => {
  assert.deepEqual([0.5, 1.5, 2.5, 31.5].map((value) => fixed(value, 0)), ["0", "2", "2", "32"]);
  assert.deepEqual([0.125, 0.375, 0.145, -0.004].map((value) => fixed(value, 2)), ["0.12", "0.38", "0.14", "-0.00"]);
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, 2.4999].map(rint), [0, 2, 2, 0, 2].map((value) => value));
  assert.equal(bytesRepr(new TextEncoder().encode(`it's "x"\n\0é`)), `b'it\\'s "x"\\n\\x00\\xc3\\xa9'`);
});

test("a score never stands on the other side of its threshold, and nothing is rounded to all or nothing", () => {
  assert.equal(scoreText(0.8841, 0.88435), "0.884");
  assert.equal(scoreText(0.88435, 0.88435), "0.88435");
  assert.equal(scoreText(0.99996, 0.5), "0.99996");
  assert.deepEqual([1, 0.9996, 0.996, 0.97, 0.0004, 0].map(shareText), ["100.0 %", "> 99.9 %", "99.6 %", "97.0 %", "< 0.1 %", "0.0 %"]);
});

test("a table opened in a spreadsheet runs nothing", () => {
  assert.equal(csvRow(['=1+1', 'a,"b"', 0.5, null]), `'=1+1,"a,""b""",0.5,\r\n`);
});
