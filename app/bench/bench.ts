/**
 * Speed of the page, as ratios within one run: against LiteRT in Python on one thread, and from file to result.
 *
 *     npm run bench            writes app/bench/result.json
 *
 * Needs `make app`, Chromium and the Python environment. Turns alternate, so that what else the machine does meets both.
 */

import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { judged, launchChromium, open, ready } from "../test/support/browser.ts";
import { judgeable, pageFolder, root } from "../test/support/inputs.ts";
import { StaticServer } from "../test/support/server.ts";

const ROUNDS = 3;
const PYTHON = process.env.PYTHON ?? path.join(root, ".venv/bin/python");
const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Milliseconds of one inference by LiteRT in Python on one thread. */
function pythonModel(model: string): number {
  const code = `
import sys, time, numpy as np
from pneumoscope.model.classifier import load_model
model = load_model(sys.argv[1], threads=1)
run, size = model.runtime().run, (model.contract.input_height, model.contract.input_width)
pixels, times = np.full(size, 100, np.uint8), []
for _ in range(30):
    start = time.perf_counter(); run(pixels); times.append(time.perf_counter() - start)
print(1000 * float(np.median(times)))`;
  const done = spawnSync(PYTHON, ["-c", code, model], { encoding: "utf-8" });
  if (done.status !== 0) throw new Error(done.stderr);
  return Number(done.stdout);
}

const server = new StaticServer(pageFolder);
await server.start();
const browser = await launchChromium();
const model = path.join(pageFolder, "assets", readdirSync(path.join(pageFolder, "assets")).find((name) => name.endsWith(".tflite"))!);
const picture = await judgeable();
try {
  const { page } = await open(browser, server.url);
  await ready(page);
  await page.waitForSelector("text=Ready to work offline.", { timeout: 120_000 });
  const run = { decode: [] as number[], prepare: [] as number[], model: [] as number[], python: [] as number[], ready: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    run.python.push(pythonModel(model));
    const start = performance.now();
    await page.reload();
    await ready(page);
    run.ready.push(performance.now() - start);
    await page.setInputFiles("#files", Array.from({ length: 10 }, () => picture));
    await judged(page);
    const timings = await page.evaluate("globalThis.pneumoscopeTimings") as { decode: number; prepare: number; model: number }[];
    for (const name of ["decode", "prepare", "model"] as const) run[name].push(median(timings.map((timing) => timing[name])));
  }
  const heap = async () => (await page.evaluate("performance.memory.usedJSHeapSize")) as number;
  const many = Array.from({ length: 50 }, () => picture);
  await page.setInputFiles("#files", many);
  await judged(page);
  const before = await heap();
  for (let batch = 0; batch < 3; batch++) {
    await page.setInputFiles("#files", many);
    await judged(page);
  }
  const result = {
    model: path.basename(model).replace(/-[^-]*\.tflite$/, ""),
    model_to_python: median(run.model.map((value, i) => value / run.python[i]!)),
    file_to_result_less_decoding_to_model: median(run.model.map((value, i) => (value + run.prepare[i]!) / value)),
    decode_to_model: median(run.model.map((value, i) => run.decode[i]! / value)),
    ready_again_seconds: median(run.ready) / 1000,
    heap_after_200_to_after_50: (await heap()) / before,
    rounds: ROUNDS,
  };
  writeFileSync(path.join(import.meta.dirname, "result.json"), `${JSON.stringify(result, null, 1)}\n`);
  console.log(result);
} finally {
  await browser.close();
  await server.stop();
}
