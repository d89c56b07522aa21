/** Debian's Chromium, driven by playwright-core; what a page asks of other hosts or complains of is kept. */

import { existsSync } from "node:fs";

import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

export function launchChromium(): Promise<Browser> {
  if (!CHROMIUM) throw new Error("Chromium is missing: the page's tests need it (`make browser` installs it)");
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"];
  return chromium.launch({ executablePath: CHROMIUM, args: flags });
}

/** A page that is watched. */
export interface Watched {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Requests to anywhere but the page's own server. */
  readonly foreign: string[];
  /** Errors in the console and of scripts. LiteRT's own INFO and WebGPU lines are none. */
  readonly complaints: string[];
}

type ContextOptions = Parameters<Browser["newContext"]>[0];

export async function open(browser: Browser, url: string, options: ContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(180_000); // a busy machine is slow; whether it is right is what is tested
  const watched: Watched = { page, context, foreign: [], complaints: [] };
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) watched.foreign.push(request.url());
  });
  page.on("pageerror", (error) => watched.complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/INFO: |WebGPU/.test(message.text())) watched.complaints.push(message.text());
  });
  await page.goto(url);
  return watched;
}

/** Wait until the model is loaded. */
export const ready = (page: Page) => page.waitForSelector("#settings:not([hidden])", { timeout: 180_000 });

/** Wait until all that was given is judged and the selected one is shown. */
export async function judged(page: Page): Promise<void> {
  await page.waitForFunction(
    () => document.querySelector<HTMLElement>("#stop")?.hidden && document.querySelector("#detail .decision") !== null,
    undefined,
    { timeout: 300_000 },
  );
}
