/** The built page in Chromium: judging, refusing, viewing, comparing, keeping; nothing leaves the device. */

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";

import type { Browser, Page } from "playwright-core";

import { judged, launchChromium, open, ready, type Watched } from "./support/browser.ts";
import { chestPng, golden, judgeable, otherModels, pageFolder, scratch } from "./support/inputs.ts";
import { StaticServer } from "./support/server.ts";

const AXE = readFileSync(new URL(import.meta.resolve("axe-core/axe.min.js")), "utf-8");
const SHOTS = process.env.PNEUMOSCOPE_SCREENSHOTS;

const server = new StaticServer(pageFolder);
let browser: Browser;
/** One page for most tests: each starts on it anew, and loading the engine once keeps the suite short. */
let shared: Watched;
let chest: string;

before(async () => {
  await server.start();
  browser = await launchChromium();
  shared = await open(browser, server.url, { viewport: { width: 1280, height: 900 } });
  await ready(shared.page);
  chest = await judgeable();
});
after(async () => {
  await browser.close();
  await server.stop();
});

/** As a visitor finds it who has just come. */
async function reset(page: Page): Promise<void> {
  await page.emulateMedia({ media: null, colorScheme: null, forcedColors: null });
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.evaluate(() => {
    document.querySelector<HTMLElement>("#clear")?.click();
    document.querySelector("#alerts")?.replaceChildren();
  });
}

/** A test on the shared page, which must neither complain nor ask anything of another host. */
function pageTest(name: string, run: (watched: Watched) => Promise<void>): void {
  test(name, async () => {
    await reset(shared.page);
    shared.complaints.length = 0;
    await run(shared);
    assert.deepEqual(shared.foreign, []);
    assert.deepEqual(shared.complaints, []);
  });
}

async function shot(page: Page, name: string): Promise<void> {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
}

async function give(page: Page, ...files: string[]): Promise<void> {
  await page.setInputFiles("#files", files);
  await judged(page);
}

/** Violations of WCAG 2.2 A and AA that axe finds. */
async function violations(page: Page): Promise<string[]> {
  // Injected as an evaluation, since the page's CSP forbids scripts of others.
  return page.evaluate(async (source) => {
    await (0, eval)(`(() => {${source}})()`);
    const { axe } = window as unknown as { axe: { run(root: Document, options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } };
    const result = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    return result.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  }, AXE);
}

pageTest("judges a picture and shows where it looked", async ({ page }) => {
  await give(page, chest);
  const words = (await page.textContent("#detail"))!;
  assert.match(words, /(above|below) the operating point/i);
  assert.match(words, /Research use only/);
  await page.waitForSelector("canvas.picture", { state: "visible" });
  const bar = (await page.getAttribute(".score-bar", "aria-label"))!;
  assert.match(bar, /Operating point balanced at 0\.\d\d\d/);
  await shot(page, "judged");
});

pageTest("a refusal says why in words, and shows the picture", async ({ page }) => {
  await give(page, golden("photo.png"));
  const words = (await page.textContent("#detail"))!;
  assert.match(words, /Not judged: refused/);
  assert.match(words, /a colour picture \(chroma 111/);
  assert.doesNotMatch(words, /Score: /);
  await shot(page, "refusal");
  assert.deepEqual(await violations(page), []);
});

pageTest("DICOM: 16 bits kept, notes above the score", async ({ page }) => {
  await give(page, golden("lateral-abdomen.dcm"));
  const words = (await page.textContent("#detail"))!;
  assert.match(words, /names the body part ABDOMEN/);
  await page.waitForSelector("text=16-bit pixels kept", { state: "visible" });
  await shot(page, "dicom");
});

pageTest("every format that browsers decode themselves, and every codec", async ({ page }) => {
  const names = ["grey.webp", "grey.bmp", "grey.gif", "two.gif", "rle.dcm", "jpeg-ls.dcm", "jpeg-2000.dcm", "jpeg-lossless.dcm", "jpeg-baseline.dcm", "grey-16.png"];
  await give(page, ...names.map(golden));
  const rows = await page.$$eval(".results-table tbody tr", (lines) => lines.map((line) => line.textContent ?? ""));
  assert.equal(rows.length, names.length);
  const unread = rows.filter((row) => row.includes("unreadable"));
  assert.deepEqual(unread, []);
  assert.match(rows[3]!, /several frames or pages/);
});

pageTest("several at once, one of them damaged: the rest goes on", async ({ page }) => {
  const big = path.join(scratch, "noise.bin");
  writeFileSync(big, Buffer.alloc(100 * 2 ** 20, 7));
  await give(page, chest, golden("cut-short.jpg"), golden("words.txt"), golden("empty.jpg"), big, chestPng("tall"));
  const rows = await page.$$eval(".results-table tbody tr", (lines) => lines.map((line) => line.textContent ?? ""));
  assert.match(rows[1]!, /unreadable.*damaged or cut short JPEG/);
  assert.match(rows[2]!, /not an image of a known format/);
  assert.match(rows[3]!, /0 bytes/);
  assert.match(rows[4]!, /not an image of a known format/);
  assert.match(rows[5]!, /above|below|refused/);
  await page.click("text=cut-short.jpg");
  await page.waitForSelector("#detail .reasons");
  assert.match((await page.textContent("#progress"))!, /6 of 6/);
  assert.deepEqual(await violations(page), []);
});

pageTest("another operating point re-labels without reading again", async ({ page }) => {
  await give(page, chest);
  const asked = server.requests.length;
  const names = await page.$$eval("#operating-point option", (options) => options.map((option) => (option as HTMLOptionElement).value));
  const standard = await page.inputValue("#operating-point");
  for (const name of [...names, standard]) {
    await page.selectOption("#operating-point", name);
    await page.waitForSelector(`.at-point:has-text("operating point ${name.replaceAll("_", " ")} at")`);
  }
  assert.equal(server.requests.length, asked);
});

pageTest("the viewer by keyboard and by buttons", async ({ page }) => {
  await give(page, chest);
  await page.waitForSelector(".toolbar >> text=Heatmap");
  await page.focus("canvas.picture");
  for (const key of ["+", "+", "ArrowLeft", "ArrowDown", "i", "h"]) await page.keyboard.press(key);
  const pressed = () => page.$$eval(".toolbar [aria-pressed]", (buttons) => buttons.map((button) => button.getAttribute("aria-pressed")));
  assert.deepEqual((await pressed()).slice(0, 2), ["true", "false"]);
  await page.fill("#level", "90");
  await page.fill("#window", "60");
  assert.match((await page.textContent(".toolbar"))!, /Window 60/);
  await page.click("text=Reset");
  assert.match((await page.textContent(".toolbar"))!, /Window 255/);
});

pageTest("two models side by side", async ({ page }) => {
  assert.ok(otherModels.length > 0, "the repository has no second model");
  await give(page, chest);
  await page.click("#model-details > summary");
  await page.setInputFiles("#model-second", otherModels.at(-1)!);
  await page.waitForSelector(".second .result", { timeout: 180_000 });
  assert.match((await page.textContent("#detail"))!, /Both say the same|The two disagree/);
  await shot(page, "compare");
  assert.deepEqual(await violations(page), []);
  await page.click("#model-details > summary");
  await page.click("text=Stop comparing");
  await page.waitForSelector("#model-second", { state: "attached" });
});

pageTest("a file that is no model is told, and the old one goes on", async ({ page }) => {
  await page.setInputFiles("#model-first", golden("grey-8.png"));
  await page.waitForSelector("#alerts .alert");
  assert.match((await page.textContent("#alerts"))!, /not a LiteRT \(\.tflite\) file/);
  await give(page, chest);
});

pageTest("history: off at first, kept when asked, gone when deleted", async ({ page }) => {
  await give(page, chest);
  assert.match((await page.textContent("#history"))!, /Nothing is kept/);
  await page.check("#keep-history");
  await give(page, golden("photo.png"));
  await page.waitForSelector("#history tbody tr");
  assert.match((await page.textContent("#history tbody"))!, /photo\.png.*refused/);
  await page.click("#delete-history");
  await page.waitForSelector("text=Nothing is kept.");
  await page.uncheck("#keep-history");
});

pageTest("storage full is said, and the result still shown", async ({ page }) => {
  // As text: what compiles these tests adds helpers to functions that the page does not have.
  await page.evaluate(`globalThis.realAdd = IDBObjectStore.prototype.add;
    IDBObjectStore.prototype.add = () => { throw new DOMException("full", "QuotaExceededError"); };`);
  await page.check("#keep-history");
  await give(page, chest);
  await page.waitForSelector("#alerts .alert");
  assert.match((await page.textContent("#alerts"))!, /no room left/);
  await page.evaluate("IDBObjectStore.prototype.add = globalThis.realAdd");
  await page.uncheck("#keep-history");
});

pageTest("a camera that is refused is told", async ({ page, context }) => {
  await context.clearPermissions();
  await page.click("#camera-open");
  await page.waitForSelector("#alerts .alert");
  assert.match((await page.textContent("#alerts"))!, /camera/);
});

pageTest("the report fits one page and names model, file and purpose", async ({ page }) => {
  await give(page, chest);
  await page.evaluate("window.print = () => undefined");
  await page.waitForSelector(".toolbar >> text=Heatmap");
  await page.click("text=Print report");
  await page.emulateMedia({ media: "print" });
  const words = (await page.textContent("#report"))!;
  for (const part of ["Research use only", "SHA-256 of the model", "SHA-256 of the file", "Intended use"]) assert.ok(words.includes(part), part);
  const pdf = (await page.pdf({ preferCSSPageSize: true })).toString("latin1");
  assert.equal(pdf.match(/\/Type\s*\/Page[^s]/g)?.length, 1);
  await shot(page, "report");
});

pageTest("pasted and dropped pictures are judged too", async ({ page }) => {
  const bytes = [...readFileSync(chestPng())];
  await page.evaluate((content) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(content)], "pasted.png", { type: "image/png" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, bytes);
  await page.waitForFunction(() => document.querySelectorAll(".results-table tbody tr").length === 2);
  await judged(page);
});

pageTest("a phone of 320 pixels: nothing is wider than the screen", async ({ page }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await give(page, chest, golden("photo.png"));
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wider <= 0, `${wider} pixels too wide`);
  await shot(page, "phone");
  assert.deepEqual(await violations(page), []);
});

for (const [name, media, size] of [
  ["dark", { colorScheme: "dark" }, { width: 1280, height: 900 }],
  ["forced-colours", { forcedColors: "active" }, { width: 1280, height: 900 }],
  ["four-k", {}, { width: 3840, height: 2160 }],
] as const) {
  pageTest(`${name}: readable, without violations`, async ({ page }) => {
    await page.setViewportSize(size);
    await page.emulateMedia(media);
    await give(page, chest, golden("plain.dcm"));
    await shot(page, name);
    assert.deepEqual(await violations(page), []);
  });
}

test("an old browser and a browser without WebAssembly are told", async () => {
  const context = await browser.newContext();
  await context.addInitScript('Reflect.deleteProperty(globalThis, "WebAssembly")');
  const page = await context.newPage();
  await page.goto(server.url);
  assert.match((await page.textContent("#alerts"))!, /cannot run WebAssembly/);
  await context.close();
});
