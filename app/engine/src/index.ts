/**
 * Pneumoscope on the device: a one-file model and a picture in, the record of `pneumoscope predict --json` out.
 *
 *     import { load } from "@pneumoscope/engine";
 *     import { nodeAssets } from "@pneumoscope/engine/node";
 *     const model = await load(await readFile("model.tflite"), nodeAssets);
 *     const { record } = await model.examine(await readFile("radiograph.dcm"), "radiograph.dcm");
 *
 * Research use only. Not a medical device.
 */

import type { Assets } from "./assets.js";
import { Model } from "./classifier.js";
import type { Accelerator } from "./runtime.js";

export type { Assets } from "./assets.js";
export { Model, type Examination } from "./classifier.js";
export { RESEARCH_USE_ONLY, type ConformalBand, type Contract, type OperatingPoint } from "./contract.js";
export * from "./errors.js";
export type { DeepPixels, Grey, GreyImage } from "./image.js";
export { unpack, type ModelPackage } from "./package.js";
export { Reader } from "./reader.js";
export { relabel } from "./answers.js";
export type { ModelInfo, PredictionRecord, Status } from "./record.js";
export { resizeToInput } from "./resize.js";
export type { Accelerator, Plane } from "./runtime.js";

/**
 * Open a one-file model.
 * @param file the whole `.tflite` that `pneumoscope export` wrote
 * @param assets where decoders and LiteRT come from on this platform
 * @param accelerator WebAssembly by default; WebGPU where the browser has it
 */
export const load = (file: Uint8Array, assets: Assets, accelerator?: Accelerator): Promise<Model> =>
  Model.open(file, assets, accelerator);
