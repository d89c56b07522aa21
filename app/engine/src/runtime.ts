/** Arrays in, arrays out: a graph run by LiteRT in WebAssembly (or on WebGPU). Knows no files and no pictures. */

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor, type CompiledModel } from "@litertjs/core";

import type { Assets } from "./assets.js";
import { ModelFileError, PlatformError } from "./errors.js";
import type { Grey } from "./image.js";

export type Accelerator = "wasm" | "webgpu";

/** A small picture that the graph gives: row by row, 0 to 1. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** What a graph says about one image; the last ones only where it has them. */
export interface Outputs {
  readonly probability: number;
  readonly typicality: number;
  readonly heatmap: Plane;
  readonly subtype: number[] | null;
  /** Share of lung at each place of the picture. */
  readonly lungs: Plane | null;
  /** x0, y0, x1, y1 as shares of width and height. */
  readonly lungBox: number[] | null;
}

let starting: Promise<unknown> | null = null;

/**
 * Start LiteRT once. Its loader wants `importScripts`, which module workers and Node lack, so it is handed the factory
 * that it would have looked for.
 */
function startLiteRt(assets: Assets): Promise<unknown> {
  starting ??= (async () => {
    if (typeof WebAssembly !== "object") throw new PlatformError("this browser has no WebAssembly");
    const { factory, options } = await assets.liteRt(await supportsFeature("relaxedSimd"));
    const scope = globalThis as Record<string, unknown>;
    scope.self ??= globalThis;
    scope.importScripts = () => undefined;
    scope.ModuleFactory = factory;
    // LiteRT writes its INFO lines to standard error; errors come as exceptions.
    scope.Module = { ...options, printErr: () => undefined };
    return loadLiteRt("given/");
  })().catch((error: unknown) => {
    starting = null;
    throw error instanceof PlatformError ? error : new PlatformError(`LiteRT could not be started (${String(error)})`);
  });
  return starting;
}

export class Runtime {
  readonly width: number;
  readonly height: number;
  readonly outputs: ReadonlySet<string>;
  readonly #model: CompiledModel;
  readonly #input: string;

  private constructor(model: CompiledModel) {
    this.#model = model;
    this.outputs = new Set(model.getOutputDetails().map(({ name }) => name));
    const missing = ["heatmap", "probability", "typicality"].filter((name) => !this.outputs.has(name));
    if (missing.length > 0) throw new ModelFileError(`the graph has no output named ${missing.join(", ")}`);
    const [input] = model.getInputDetails();
    const shape = Array.from(input?.shape ?? []);
    if (!input || shape.length !== 4 || shape[0] !== 1 || shape[3] !== 1 || input.dtype !== "uint8") {
      throw new ModelFileError(`the graph takes [${shape.join(", ")}], uint8 [1, height, width, 1] is needed`);
    }
    [this.height, this.width] = [shape[1]!, shape[2]!];
    this.#input = input.name;
  }

  /**
   * @throws ModelFileError LiteRT cannot read the graph, or it lacks the named inputs and outputs
   * @throws PlatformError LiteRT cannot run here
   */
  static async open(graph: Uint8Array, assets: Assets, accelerator: Accelerator = "wasm"): Promise<Runtime> {
    await startLiteRt(assets);
    let model: CompiledModel;
    try {
      model = await loadAndCompile(graph, { accelerator });
    } catch (error) {
      throw new ModelFileError(`LiteRT cannot read the graph (${String(error)})`);
    }
    try {
      return new Runtime(model);
    } catch (error) {
      model.delete();
      throw error;
    }
  }

  /** Judge one image of the graph's size. */
  async run(pixels: Grey): Promise<Outputs> {
    const input = new Tensor(pixels.data as Uint8Array<ArrayBuffer>, [1, this.height, this.width, 1]);
    let results: Record<string, Tensor> | null = null;
    try {
      results = await this.#model.run({ [this.#input]: input });
      const named: Record<string, { data: Float32Array; shape: number[] }> = {};
      for (const [name, tensor] of Object.entries(results)) {
        const data = Float32Array.from(await tensor.data());
        named[name] = { data, shape: Array.from(tensor.type.layout.dimensions) };
      }
      return toOutputs(named);
    } finally {
      input.delete();
      for (const tensor of Object.values(results ?? {})) tensor.delete();
    }
  }

  /** Free the graph's memory. */
  close(): void {
    this.#model.delete();
  }
}

function toOutputs(named: Record<string, { data: Float32Array; shape: number[] }>): Outputs {
  const plane = (name: string): Plane | null => {
    const output = named[name];
    if (!output) return null;
    const [, height, width] = output.shape; // [1, height, width] or [1, height, width, 1]
    return { width: width!, height: height!, data: output.data };
  };
  return {
    probability: named.probability!.data[0]!,
    typicality: named.typicality!.data[0]!,
    heatmap: plane("heatmap")!,
    subtype: named.subtype ? Array.from(named.subtype.data) : null,
    lungs: plane("lungs"),
    lungBox: named.lung_box ? Array.from(named.lung_box.data) : null,
  };
}
