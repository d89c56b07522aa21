/** Bytes in, one grey image out, with everything its reader learnt: src/pneumoscope/imaging/reader.py in TypeScript. */

import type { Assets } from "./assets.js";
import { withoutBars } from "./borders.js";
import { countFrames, MIME } from "./browser-image.js";
import { sha256 } from "./bytes.js";
import { Codecs } from "./codecs.js";
import { DamagedError, InputError, PlatformError, RefusedInputError, UnreadableInputError } from "./errors.js";
import { describeUnknown, sniff } from "./formats.js";
import { greyAndChroma } from "./grey.js";
import type { Decoded, GreyImage, ImageFormat } from "./image.js";
import { checkJpegStructure, decodeJpeg, readJpegHeader } from "./jpeg.js";
import limits from "./limits.json" with { type: "json" };
import { decodePng, readPngHeader } from "./png.js";
import { checkSize, MAX_BYTES } from "./size.js";

const { PROGRAM, SEVERAL } = limits.reader;

export class Reader {
  readonly #assets: Assets;
  readonly #codecs: Codecs;

  constructor(assets: Assets) {
    this.#assets = assets;
    this.#codecs = new Codecs(assets);
  }

  /**
   * Read one image.
   * @throws UnreadableInputError empty, damaged, cut short, or of no known format
   * @throws RefusedInputError read, but not one image of a size and kind that can be judged
   * @throws PlatformError a decoder could not be loaded
   */
  async read(input: Uint8Array): Promise<GreyImage> {
    // A plain view: slices of Node's Buffer share its memory, and decoders that take what they are given would see it all.
    const data = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    if (data.length === 0) throw new UnreadableInputError("empty, 0 bytes; send the image again");
    if (data.length > MAX_BYTES) {
      const mebibytes = Math.round(data.length / 2 ** 20);
      throw new RefusedInputError(`${mebibytes} MiB, files of at most ${MAX_BYTES / 2 ** 20} MiB are read`);
    }
    const digest = await sha256(data);
    try {
      const format = sniff(data);
      if (!format) throw new UnreadableInputError(describeUnknown(data));
      const decoded = withoutBars(await this.#decode(data, format));
      return { notes: [], deep: null, ageYears: null, ...decoded, format, sha256: digest };
    } catch (error) {
      if (error instanceof InputError || error instanceof PlatformError) error.sha256 = digest;
      throw error;
    }
  }

  async #decode(data: Uint8Array, format: ImageFormat): Promise<Decoded> {
    if (format === "DICOM") {
      // Loaded when the first DICOM file turns up: most visitors never need it.
      const { decodeDicom } = await import("./dicom/pixels.js");
      return decodeDicom(data, this.#codecs);
    }
    try {
      return await this.#decodePicture(data, format);
    } catch (error) {
      if (error instanceof DamagedError) {
        throw new UnreadableInputError(`damaged or cut short ${format} (${error.message})`);
      }
      throw error;
    }
  }

  async #decodePicture(data: Uint8Array, format: ImageFormat): Promise<Decoded> {
    if (format === "JPEG") {
      const header = readJpegHeader(data);
      if (!header) throw new DamagedError("no picture in it");
      checkSize(header.width, header.height);
      checkJpegStructure(data, header.width * header.height);
      return decodeJpeg(data, header, this.#codecs);
    }
    if (format === "PNG") {
      const header = readPngHeader(data);
      checkSize(header.width, header.height);
      checkFrames(header.frames);
      if (header.software.startsWith(PROGRAM)) {
        throw new RefusedInputError(`a picture that ${PROGRAM} made itself; give the radiograph it was made from`);
      }
      return decodePng(data, header);
    }
    if (format === "TIFF") {
      throw new RefusedInputError("TIFF is not read on this page; save it as PNG, or use `pneumoscope predict`");
    }
    checkFrames(countFrames(data, format));
    return this.#decodeWithBrowser(data, format);
  }

  async #decodeWithBrowser(data: Uint8Array, format: ImageFormat): Promise<Decoded> {
    if (!this.#assets.browserDecode) throw new PlatformError(`${format} is decoded in browsers only`);
    let picture;
    try {
      picture = await this.#assets.browserDecode(data, MIME[format]!);
    } catch (error) {
      throw new DamagedError(error instanceof Error ? error.message : String(error));
    }
    const { width, height, rgba } = picture;
    checkSize(width, height);
    const grey = greyAndChroma(rgba, width, height, 4);
    return { ...grey, width, height };
  }
}

function checkFrames(frames: number): void {
  if (frames > 1) {
    throw new RefusedInputError(SEVERAL);
  }
}
