/** Runs the WebAssembly codecs; each is loaded when the first picture needs it. */

import type { Assets, Codec, CodecName, FrameInfo } from "./assets.js";
import { PlatformError, DamagedError } from "./errors.js";

export interface DecodedFrame {
  readonly info: FrameInfo;
  /** A copy: samples interleaved, 16-bit ones little-endian. */
  readonly bytes: Uint8Array;
}

export class Codecs {
  readonly #assets: Assets;
  readonly #loaded = new Map<CodecName, Promise<Codec>>();

  constructor(assets: Assets) {
    this.#assets = assets;
  }

  /**
   * @throws DamagedError the data are damaged
   * @throws PlatformError the codec could not be loaded
   */
  async decode(name: CodecName, data: Uint8Array): Promise<DecodedFrame> {
    const decoder = (await this.#load(name))();
    try {
      decoder.getEncodedBuffer(data.length).set(data);
      decoder.decode();
      return { info: { ...decoder.getFrameInfo() }, bytes: decoder.getDecodedBuffer().slice() };
    } catch (error) {
      // Emscripten throws numbers and messages; neither tells a user more than this.
      const reason = error instanceof Error && error.message ? error.message : "the decoder gave up";
      throw new DamagedError(reason);
    } finally {
      decoder.delete();
    }
  }

  #load(name: CodecName): Promise<Codec> {
    let loading = this.#loaded.get(name);
    if (!loading) {
      loading = this.#assets.codec(name).catch((error: unknown) => {
        this.#loaded.delete(name); // a later picture may find the network back
        throw new PlatformError(`the decoder for ${name.toUpperCase()} could not be loaded (${String(error)})`);
      });
      this.#loaded.set(name, loading);
    }
    return loading;
  }
}
