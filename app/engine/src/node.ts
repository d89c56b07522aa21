/** The engine's parts in Node, taken from the installed packages. For tests, tools and batch work. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import vm from "node:vm";

import { type Assets, type Codec, type CodecDecoder, type CodecName, DECODER_CLASS, type EmscriptenFactory } from "./assets.js";

const require = createRequire(import.meta.url);

const PACKAGES: Record<CodecName, string> = {
  jpeg: "@cornerstonejs/codec-libjpeg-turbo-8bit",
  "jpeg-ls": "@cornerstonejs/codec-charls",
  "jpeg-2000": "@cornerstonejs/codec-openjpeg",
};

type DecoderModule = Record<string, new () => CodecDecoder>;

/** Assets for `load` in Node. WebP, BMP and GIF are decoded in browsers only. */
export const nodeAssets: Assets = {
  browserDecode: null,

  async codec(name: CodecName): Promise<Codec> {
    const factory = require(`${PACKAGES[name]}/decodewasmjs`) as EmscriptenFactory<DecoderModule>;
    const wasmBinary = await readFile(require.resolve(`${PACKAGES[name]}/decodewasm`));
    const module = await factory({ wasmBinary, print: () => undefined, printErr: () => undefined });
    const Decoder = module[DECODER_CLASS[name]]!;
    return () => new Decoder();
  },

  async liteRt(relaxedSimd: boolean) {
    const name = relaxedSimd ? "litert_wasm_internal" : "litert_wasm_compat_internal";
    const base = require.resolve("@litertjs/core").replace(/dist[\\/].*$/, "wasm/");
    // The glue is a classic script that looks for CommonJS; run as one, it hands out its factory.
    const source = await readFile(`${base}${name}.js`, "utf-8");
    const wrap = vm.runInThisContext(`(require, __filename, __dirname) => {${source};\nreturn ModuleFactory;}`) as (
      require: NodeJS.Require,
      file: string,
      folder: string,
    ) => EmscriptenFactory<unknown>;
    return { factory: wrap(require, `${base}${name}.js`, base), options: { wasmBinary: await readFile(`${base}${name}.wasm`) } };
  },
};
