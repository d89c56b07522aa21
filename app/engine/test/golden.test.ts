/** Every golden file reads as Python read it: the same pixels, checks, notes and refusals. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { InputError, PlatformError, RefusedInputError } from "../src/errors.ts";
import { nodeAssets } from "../src/node.ts";
import { assess } from "../src/quality.ts";
import { Reader } from "../src/reader.ts";
import { resizeToInput } from "../src/resize.ts";

const folder = path.join(import.meta.dirname, "golden");

interface Expected {
  readonly status: "read" | "refused" | "error";
  readonly message?: string;
  readonly size: [number, number];
  readonly pixels_sha256: string;
  readonly shrunk_sha256: string;
  readonly mean: number;
  readonly chroma: number;
  readonly reasons: string[];
  readonly notes: string[];
  readonly sha256: string;
}

const expected = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf-8")) as Record<string, Expected>;
const reader = new Reader(nodeAssets);
const hash = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** What a library says about damage differs; that it is damage, and of what, does not. */
const withoutDetail = (message: string) => message.replace(/^(damaged or cut short [\w ]+?) \(.*\)$/s, "$1");

/** Decoded by browsers; test/page.test.ts has them. */
const IN_BROWSERS = /\.(webp|bmp|gif)$/;

/** What Node reads otherwise than Python, with why. */
const KNOWN: Record<string, string> = {
  "cmyk.jpg": "four colour channels are not decoded on the device",
};

for (const [name, want] of Object.entries(expected)) {
  test(name, async () => {
    const data = new Uint8Array(readFileSync(path.join(folder, name)));
    const image = await reader.read(data).catch((error: unknown) => {
      assert.ok(error instanceof InputError || error instanceof PlatformError, String(error));
      return error;
    });
    if (image instanceof Error) {
      if (IN_BROWSERS.test(name) && want.status === "read") return void assert.ok(image instanceof PlatformError);
      if (name in KNOWN) return void assert.match(image.message, /uncommon kind/);
      assert.equal(image instanceof RefusedInputError ? "refused" : "error", want.status, image.message);
      assert.equal(withoutDetail(image.message), withoutDetail(want.message!));
      return;
    }
    assert.equal("read", want.status);
    assert.deepEqual([image.pixels.width, image.pixels.height], want.size);
    assert.deepEqual(assess(image), want.reasons);
    assert.deepEqual(image.notes, want.notes);
    assert.equal(image.sha256, want.sha256);
    assert.ok(Math.abs(image.chroma - want.chroma) < 1e-4, `chroma ${image.chroma}, ${want.chroma} expected`);
    assert.equal(hash(image.pixels.data), want.pixels_sha256, "pixels");
    assert.equal(hash(resizeToInput(image.pixels, 96, 112).data), want.shrunk_sha256, "shrunk pixels");
  });
}

test("every kind of answer is among them", () => {
  const statuses = new Set(Object.values(expected).map(({ status }) => status));
  assert.deepEqual([...statuses].sort(), ["error", "read", "refused"]);
});
