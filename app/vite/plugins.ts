/** What Vite does not do by itself: LiteRT's loader as a module, the built-in model, sizes, and the precache list. */

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

import type { Plugin } from "vite";

const require = createRequire(import.meta.url);
const root = path.resolve(import.meta.dirname, "..");
const litertFolder = require.resolve("@litertjs/core").replace(/dist[\\/].*$/, "wasm/");
const LITERT = `${litertFolder}litert_wasm_compat_internal`;

/** The model that the page starts with: the package's own, where its form suits a browser. */
export function builtInModel(): string {
  const given = process.env.PNEUMOSCOPE_PAGE_MODEL;
  if (given) return path.resolve(given);
  const own = path.resolve(root, "../src/pneumoscope/models/builtin.tflite");
  // Weights as int8 with activations quantised while running give other probabilities in a browser, by up to 0.012.
  if (readFileSync(own).includes('"quantization": "dynamic"')) {
    throw new Error("the built-in model is of the dynamic form: set PNEUMOSCOPE_PAGE_MODEL to a float16 or int8 one");
  }
  return own;
}

/** Modules that are made here, by name. */
function virtualModules(): Record<string, () => string> {
  return {
    // A classic script that assigns a variable and then looks for CommonJS: as a module it exports the variable.
    "virtual:litert": () =>
      `${readFileSync(`${LITERT}.js`, "utf-8").split("// Export using a UMD style export")[0]!}\nexport default ModuleFactory;`,
    "virtual:built-in-model": () => `export { default } from ${JSON.stringify(`${builtInModel()}?url`)};`,
    "virtual:sizes": () =>
      `export const wasmBytes = ${statSync(`${LITERT}.wasm`).size}; export const modelBytes = ${statSync(builtInModel()).size};`,
  };
}

export function madeModules(): Plugin {
  const modules = virtualModules();
  return {
    name: "pneumoscope:made-modules",
    resolveId: (id) => (id in modules ? `\0${id}` : null),
    load: (id) => (id.startsWith("\0") ? (modules[id.slice(1)]?.() ?? null) : null),
  };
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .sort();
}

/** Write the list of files and their hashes into the service worker, after everything else is written. */
export function precache(): Plugin {
  return {
    name: "pneumoscope:precache",
    apply: "build",
    writeBundle: {
      order: "post",
      sequential: true,
      handler({ dir }) {
        const names = filesUnder(dir!).filter((name) => name !== "sw.js");
        const hash = (name: string) => createHash("sha256").update(readFileSync(path.join(dir!, name))).digest("base64");
        const files = Object.fromEntries(names.map((name) => [name, hash(name)]));
        const version = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
        const worker = path.join(dir!, "sw.js");
        const text = readFileSync(worker, "utf-8");
        if (!text.includes("__PRECACHE__")) this.error("the service worker does not ask for its list of files");
        writeFileSync(worker, text.replace("__PRECACHE__", JSON.stringify({ version, files })));
      },
    },
  };
}
