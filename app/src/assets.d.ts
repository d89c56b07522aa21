/** Modules that vite.config.ts makes. */

declare module "virtual:litert" {
  import type { EmscriptenFactory } from "@pneumoscope/engine/assets";
  /** LiteRT's loader, which is a classic script, as a module. */
  const factory: EmscriptenFactory<unknown>;
  export default factory;
}

declare module "virtual:sizes" {
  /** Bytes of the large files, for the progress bar; a compressed transfer does not tell them. */
  export const wasmBytes: number;
  export const modelBytes: number;
}

declare module "virtual:built-in-model" {
  const url: string;
  export default url;
}

declare module "@cornerstonejs/codec-*/decodewasmjs" {
  import type { CodecDecoder, EmscriptenFactory } from "@pneumoscope/engine/assets";
  const factory: EmscriptenFactory<Record<string, new () => CodecDecoder>>;
  export default factory;
}
