/** One image to one record: reads, refuses or judges, in the order and words of src/pneumoscope/model/classifier.py. */

import { labelOf, lungNotes, notesOn, predictionSet, withoutLungs } from "./answers.js";
import type { Assets } from "./assets.js";
import { fixed } from "./bytes.js";
import type { Contract } from "./contract.js";
import { InputError, ModelFileError, PlatformError, RefusedInputError } from "./errors.js";
import type { GreyImage } from "./image.js";
import { type ModelPackage, unpack } from "./package.js";
import { assess } from "./quality.js";
import { type ModelInfo, type PredictionRecord, rounded } from "./record.js";
import { Reader } from "./reader.js";
import { resizeToInput } from "./resize.js";
import { type Accelerator, type Outputs, type Plane, Runtime } from "./runtime.js";

/** Pixels, notes and record of one reading. */
export interface Examination {
  readonly record: PredictionRecord;
  /** Null where the input could not be read. */
  readonly image: GreyImage | null;
  readonly heatmap: Plane | null;
  readonly lungs: Plane | null;
  /** Milliseconds: decoding, resizing and checks, the model. */
  readonly timing: { readonly decode: number; readonly prepare: number; readonly model: number };
}

export class Model {
  readonly contract: Contract;
  readonly card: string;
  readonly info: ModelInfo;
  readonly #runtime: Runtime;
  readonly #reader: Reader;

  private constructor(parts: ModelPackage, runtime: Runtime, reader: Reader) {
    this.contract = parts.contract;
    this.card = parts.card;
    this.info = { name: parts.contract.name, version: parts.contract.version, sha256: parts.sha256 };
    this.#runtime = runtime;
    this.#reader = reader;
  }

  /**
   * Open a one-file model.
   * @throws ModelFileError not a one-file model, cut short, or changed
   * @throws ContractError its contract cannot be honoured
   * @throws PlatformError LiteRT cannot run here
   */
  static async open(file: Uint8Array, assets: Assets, accelerator: Accelerator = "wasm"): Promise<Model> {
    const parts = await unpack(file);
    const runtime = await Runtime.open(parts.graph, assets, accelerator);
    const { contract } = parts;
    const sizes = [`${runtime.width} x ${runtime.height}`, `${contract.inputWidth} x ${contract.inputHeight}`];
    const hasLungs = runtime.outputs.has("lungs") && runtime.outputs.has("lung_box");
    const isAgreed =
      runtime.outputs.has("subtype") === contract.subtypes.length > 0 && hasLungs === (contract.lungField !== null);
    const fits = sizes[0] === sizes[1] && isAgreed;
    if (!fits) {
      runtime.close();
      throw new ModelFileError(
        sizes[0] === sizes[1]
          ? "graph and contract disagree about subtypes or the lung field; export the model anew"
          : `the graph takes ${sizes[0]} pixels and its contract says ${sizes[1]}; export the model anew`,
      );
    }
    return new Model(parts, runtime, new Reader(assets));
  }

  /** Free the memory of the graph. */
  close(): void {
    this.#runtime.close();
  }

  /**
   * Judge one file. Bad input gives a record that says why, never an exception.
   * @param name what the record calls it
   * @param operatingPoint a threshold of this model; its default where left out
   */
  async examine(data: Uint8Array, name: string, operatingPoint?: string): Promise<Examination> {
    const start = performance.now();
    let image: GreyImage;
    try {
      image = await this.#reader.read(data);
    } catch (error) {
      if (!(error instanceof InputError || error instanceof PlatformError)) throw error;
      const status = error instanceof RefusedInputError ? "refused" : "error";
      const record = { ...this.#blank(name, operatingPoint), sha256: error.sha256, status, reasons: [`${name}: ${error.message}`] } as const;
      const timing = { decode: performance.now() - start, prepare: 0, model: 0 };
      return { record, image: null, heatmap: null, lungs: null, timing };
    }
    const examined = await this.examineImage(image, name, operatingPoint);
    return { ...examined, timing: { ...examined.timing, decode: performance.now() - start - examined.timing.prepare - examined.timing.model } };
  }

  /** Judge an image that was read already. */
  async examineImage(image: GreyImage, name: string, operatingPoint?: string): Promise<Examination> {
    const start = performance.now();
    const blank = { ...this.#blank(name, operatingPoint), sha256: image.sha256, notes: notesOn(image, this.contract) };
    let reasons = assess(image);
    let outputs: Outputs | null = null;
    let prepared = start;
    if (reasons.length === 0) {
      const input = resizeToInput(image.pixels, this.contract.inputWidth, this.contract.inputHeight);
      prepared = performance.now();
      outputs = await this.#runtime.run(input);
      reasons = [...withoutLungs(outputs.lungs, this.contract.lungField), ...this.#atypical(outputs)];
    }
    const timing = { decode: 0, prepare: prepared - start, model: performance.now() - prepared };
    if (outputs && !isSound(outputs)) {
      const { name: model, version } = this.info;
      const record = { ...blank, status: "error", reasons: [`${name}: ${model} ${version} answers with what is no number; use another`] } as const;
      return { record, image, heatmap: null, lungs: null, timing };
    }
    if (!outputs || reasons.length > 0) {
      const typicality = outputs ? rounded(outputs.typicality) : null;
      const why = reasons.map((reason) => `${name}: ${reason}`);
      const lungs = outputs ? this.#lungs(outputs) : null;
      const record = { ...blank, status: "refused", typicality, reasons: why, lungs } as const;
      return { record, image, heatmap: null, lungs: outputs?.lungs ?? null, timing };
    }
    return { record: this.#judged(blank, outputs), image, heatmap: outputs.heatmap, lungs: outputs.lungs, timing };
  }

  #atypical(outputs: Outputs): string[] {
    const limit = this.contract.typicalityLimit;
    if (outputs.typicality >= limit) return [];
    return [
      "does not look like a frontal chest radiograph " +
        `(typicality ${fixed(outputs.typicality, 2)}, at least ${fixed(limit, 2)} needed)`,
    ];
  }

  #judged(blank: PredictionRecord, outputs: Outputs): PredictionRecord {
    const { contract } = this;
    const label = labelOf(outputs.probability, contract, blank.operating_point);
    const subtype = outputs.subtype
      ? Object.fromEntries(contract.subtypes.map((key, i) => [key, rounded(outputs.subtype![i]!)]))
      : null;
    return {
      ...blank,
      status: "ok",
      label,
      probability: rounded(outputs.probability),
      subtype,
      typicality: rounded(outputs.typicality),
      prediction_set: predictionSet(outputs.probability, contract, label),
      notes: [...blank.notes, ...lungNotes(outputs.lungs, contract.lungField)],
      lungs: this.#lungs(outputs),
    };
  }

  #lungs(outputs: Outputs): PredictionRecord["lungs"] {
    if (!outputs.lungBox || withoutLungs(outputs.lungs, this.contract.lungField).length > 0) return null;
    return { box: outputs.lungBox.map((side) => Number(side.toFixed(4))) };
  }

  #blank(path: string, operatingPoint?: string): PredictionRecord {
    const name = operatingPoint ?? this.contract.defaultOperatingPoint;
    const point = this.contract.operatingPoints[name];
    if (!point) {
      const known = Object.keys(this.contract.operatingPoints).sort().join(", ");
      throw new ModelFileError(`operating point '${name}': ${this.info.name} has none of that name; it has ${known}`);
    }
    return {
      path,
      sha256: null,
      status: "error",
      label: null,
      probability: null,
      threshold: rounded(point.threshold),
      operating_point: name,
      subtype: null,
      typicality: null,
      reasons: [],
      notes: [],
      heatmap: null,
      prediction_set: null,
      lungs: null,
      model: this.info,
    };
  }
}

/** Whether every number is one: a damaged or misbuilt graph answers with NaN. */
function isSound({ probability, typicality, heatmap }: Outputs): boolean {
  return [probability, typicality, ...heatmap.data].every(Number.isFinite);
}
