/** The engine's parts in a browser: fetched from where the page came from, and from nowhere else. */

import wasmUrl from "@litertjs/core/wasm/litert_wasm_compat_internal.wasm?url";
import charlsUrl from "@cornerstonejs/codec-charls/decodewasm?url";
import turboUrl from "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm?url";
import openjpegUrl from "@cornerstonejs/codec-openjpeg/decodewasm?url";
import { type Assets, type Codec, type CodecName, DECODER_CLASS, type EmscriptenOptions } from "@pneumoscope/engine/assets";
import { decodeInBrowser } from "@pneumoscope/engine/browser-image";
import builtInUrl from "virtual:built-in-model";
import { modelBytes, wasmBytes } from "virtual:sizes";

import type { Part } from "./protocol.js";

const CODECS = {
  jpeg: { glue: () => import("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs"), url: turboUrl },
  "jpeg-ls": { glue: () => import("@cornerstonejs/codec-charls/decodewasmjs"), url: charlsUrl },
  "jpeg-2000": { glue: () => import("@cornerstonejs/codec-openjpeg/decodewasmjs"), url: openjpegUrl },
} as const;

export type OnProgress = (part: Part, done: number, all: number) => void;

async function fetchOk(url: string): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${new URL(url, location.href).pathname} answered ${response.status}; reload the page`);
  return response;
}

/** A body that reports how much of it has come. */
function counted(response: Response, part: Part, all: number, onProgress: OnProgress): ReadableStream<Uint8Array> {
  let done = 0;
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      done += chunk.length;
      onProgress(part, done, all);
      controller.enqueue(chunk);
    },
  });
  return response.body!.pipeThrough(count);
}

export async function fetchBuiltIn(onProgress: OnProgress): Promise<Uint8Array> {
  const body = counted(await fetchOk(builtInUrl), "model", modelBytes, onProgress);
  return new Uint8Array(await new Response(body).arrayBuffer());
}

/** Assets that report the progress of LiteRT's WebAssembly. */
export function browserAssets(onProgress: OnProgress): Assets {
  return {
    browserDecode: decodeInBrowser,

    async codec(name: CodecName): Promise<Codec> {
      const { glue, url } = CODECS[name];
      const [{ default: factory }, response] = await Promise.all([glue(), fetchOk(url)]);
      const wasmBinary = new Uint8Array(await response.arrayBuffer());
      const module = await factory({ wasmBinary, print: () => undefined, printErr: () => undefined });
      const Decoder = module[DECODER_CLASS[name]]!;
      return () => new Decoder();
    },

    // One build for every browser (without relaxed SIMD), so that every browser computes the same numbers.
    async liteRt() {
      const { default: factory } = await import("virtual:litert");
      const instantiateWasm: NonNullable<EmscriptenOptions["instantiateWasm"]> = (imports, done) => {
        void (async () => {
          const body = counted(await fetchOk(wasmUrl), "engine", wasmBytes, onProgress);
          const response = new Response(body, { headers: { "content-type": "application/wasm" } });
          const { instance, module } = await WebAssembly.instantiateStreaming(response, imports);
          done(instance, module);
        })().catch((error: unknown) => failed(error));
        return {};
      };
      let failed: (error: unknown) => void = () => undefined;
      const failure = new Promise<never>((_, reject) => (failed = reject));
      failure.catch(() => undefined); // heard by the race below, if at all
      const racing: typeof factory = (options) => Promise.race([factory(options), failure]);
      return { factory: racing, options: { instantiateWasm } };
    },
  };
}
