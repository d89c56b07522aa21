/** What page and worker say to each other. */

import type { Accelerator, Contract, ModelInfo, Plane, PredictionRecord } from "@pneumoscope/engine";

import type { Picture } from "./shared/layers.js";

/** The first model, and a second one to compare with. */
export type Slot = "first" | "second";

export type Request =
  | { readonly kind: "load"; readonly slot: Slot; readonly file: Blob | null; readonly accelerator: Accelerator }
  | { readonly kind: "unload"; readonly slot: Slot }
  | { readonly kind: "examine"; readonly slot: Slot; readonly file: Blob; readonly name: string; readonly point: string | null }
  | { readonly kind: "picture"; readonly file: Blob };

export interface LoadedModel {
  readonly info: ModelInfo;
  readonly contract: Contract;
  readonly card: string;
  readonly isBuiltIn: boolean;
}

export interface Examined {
  readonly record: PredictionRecord;
  readonly heatmap: Plane | null;
  readonly lungs: Plane | null;
  /** Milliseconds. */
  readonly timing: { readonly decode: number; readonly prepare: number; readonly model: number };
}

export interface Answers {
  load: LoadedModel;
  unload: null;
  examine: Examined;
  picture: Picture | null;
}

export type Part = "engine" | "model" | "start";

export type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: string }
  | { readonly id: number; readonly progress: { readonly part: Part; readonly done: number; readonly all: number } };
