/** The service worker: offline with the server stopped, an update that never mixes versions, the size of a first visit. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { brotliCompressSync, constants } from "node:zlib";

import type { Browser } from "playwright-core";

import { judged, launchChromium, open, ready } from "./support/browser.ts";
import { chestPng, golden, pageFolder, scratch } from "./support/inputs.ts";
import { StaticServer } from "./support/server.ts";

const folder = path.join(scratch, "page");
let browser: Browser;
let server: StaticServer;

before(async () => {
  cpSync(pageFolder, folder, { recursive: true });
  browser = await launchChromium();
});
after(() => browser.close());
beforeEach(async () => {
  server = new StaticServer(folder);
  await server.start();
});
afterEach(() => server.stop());

/** The page as a later build would have it: another title, so other hashes. */
function publishNewVersion(): void {
  const index = path.join(folder, "index.html");
  writeFileSync(index, readFileSync(index, "utf-8").replace("<title>", "<title>New "));
  const worker = path.join(folder, "sw.js");
  const hash = createHash("sha256").update(readFileSync(index)).digest("base64");
  const text = readFileSync(worker, "utf-8").replace(/("?index\.html"?:\s*["'`])[^"'`]+/, `$1${hash}`);
  writeFileSync(worker, text.replace(/(version:\s*["'`]|"version":\s*")[0-9a-f]{16}/, "$10123456789abcdef"));
}

test("works with the server stopped", async () => {
  const { page, context } = await open(browser, server.url);
  await ready(page);
  await page.waitForSelector("text=Ready to work offline.", { timeout: 180_000 });
  await server.stop();
  await page.reload(); // how fast is for app/bench to say
  await ready(page);
  await page.setInputFiles("#files", [chestPng(), golden("jpeg-2000.dcm")]);
  await judged(page);
  assert.match((await page.textContent("#table"))!, /above|below|refused/);
  await context.close();
});

test("an update is offered, taken whole, and never mixed", async () => {
  const { page, context } = await open(browser, server.url);
  await ready(page);
  await page.waitForSelector("text=Ready to work offline.", { timeout: 180_000 });
  publishNewVersion();
  await page.reload(); // the old version still, from its cache
  await ready(page);
  assert.equal(await page.title(), "Pneumoscope on your device");
  await page.click("text=Update now", { timeout: 180_000 });
  await page.waitForFunction(() => document.title.startsWith("New "), undefined, { timeout: 180_000 });
  await ready(page);
  const caches = await page.evaluate(() => window.caches.keys());
  assert.deepEqual(caches, ["pneumoscope-0123456789abcdef"]);
  await context.close();
});

test("offline at the first visit is said once the page itself is there", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.route("**/*.{wasm,tflite}", (route) => route.abort());
  await page.addInitScript('Object.defineProperty(Navigator.prototype, "onLine", { get: () => false })');
  await page.goto(server.url);
  await page.waitForSelector("#alerts .alert", { timeout: 180_000 });
  assert.match((await page.textContent("#alerts"))!, /offline and the page was never here/);
  await context.close();
});

test("a first visit, its model aside, is under 2.5 MB with brotli", () => {
  const needed = readdirSync(path.join(pageFolder, "assets")).filter((name) => !/codec|charls|openjpeg|turbo|lossless|pixels|\.tflite$/.test(name));
  const size = (name: string) => {
    const data = readFileSync(path.join(pageFolder, "assets", name));
    // Quality 9 is what a host does once for each release; 11 would be smaller still.
    return brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }).length;
  };
  const total = needed.reduce((sum, name) => sum + size(name), 0);
  assert.ok(total < 2.5e6, `${(total / 1e6).toFixed(2)} MB`);
});
