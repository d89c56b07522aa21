/**
 * Where the parts that are loaded when needed come from.
 *
 * The engine runs in a worker, in a page and in Node; each hands in its own way to the same files.
 */

/** What an Emscripten factory takes and gives, as far as it is used here. */
export interface EmscriptenOptions {
  wasmBinary?: Uint8Array;
  instantiateWasm?(
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): object;
  locateFile?(path: string): string;
  print?(line: string): void;
  printErr?(line: string): void;
}
export type EmscriptenFactory<T> = (options: EmscriptenOptions) => Promise<T>;

export interface FrameInfo {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
  readonly isSigned: boolean;
}

/** One decoder of the Cornerstone codecs. */
export interface CodecDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getFrameInfo(): FrameInfo;
  getDecodedBuffer(): Uint8Array;
  delete(): void;
}

export type CodecName = "jpeg" | "jpeg-ls" | "jpeg-2000";

/** A codec's module, loaded: makes decoders. */
export type Codec = () => CodecDecoder;

export interface Assets {
  /** Load a codec; asked once for each. */
  codec(name: CodecName): Promise<Codec>;
  /** Load LiteRT's Emscripten factory and what it needs to find its WebAssembly. */
  liteRt(relaxedSimd: boolean): Promise<{ factory: EmscriptenFactory<unknown>; options: EmscriptenOptions }>;
  /** Decode a format that browsers know (WebP, BMP, GIF) to RGBA over black; null where that cannot be done. */
  browserDecode: ((data: Uint8Array, type: string) => Promise<BrowserPixels>) | null;
}

export interface BrowserPixels {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8ClampedArray;
}

/** Cornerstone's constructors, by codec. */
export const DECODER_CLASS: Record<CodecName, string> = {
  jpeg: "JPEGDecoder",
  "jpeg-ls": "JpegLSDecoder",
  "jpeg-2000": "J2KDecoder",
};
