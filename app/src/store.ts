/** What the page knows: models, pictures and their results. Views listen; only this module changes it. */

import { type Contract, type Plane, type PredictionRecord, relabel } from "@pneumoscope/engine";

import type { Examined, LoadedModel, Slot } from "./protocol.js";

export interface Item {
  readonly id: string;
  readonly name: string;
  readonly file: File;
  state: "waiting" | "working" | "done";
  record: PredictionRecord | null;
  second: PredictionRecord | null;
  heatmap: Plane | null;
  lungs: Plane | null;
  timing: Examined["timing"] | null;
  when: Date | null;
}

type Listener = (item: Item | null) => void;

export class Store {
  readonly items = new Map<string, Item>();
  readonly models: { first: LoadedModel | null; second: LoadedModel | null } = { first: null, second: null };
  point: string | null = null;
  selected: string | null = null;
  readonly #listeners: Listener[] = [];
  #next = 1;

  /** Be told of a change to one item, or to anything else (null). */
  listen(listener: Listener): void {
    this.#listeners.push(listener);
  }

  changed(item: Item | null = null): void {
    for (const listener of this.#listeners) listener(item);
  }

  add(file: File, name: string): Item {
    const item: Item = {
      id: `item-${this.#next++}`,
      name,
      file,
      state: "waiting",
      record: null,
      second: null,
      heatmap: null,
      lungs: null,
      timing: null,
      when: null,
    };
    this.items.set(item.id, item);
    this.changed(item);
    return item;
  }

  get contract(): Contract | null {
    return this.models.first?.contract ?? null;
  }

  get selectedItem(): Item | null {
    return this.selected ? (this.items.get(this.selected) ?? null) : null;
  }

  setModel(slot: Slot, model: LoadedModel | null): void {
    this.models[slot] = model;
    if (slot === "first") this.point = model?.contract.defaultOperatingPoint ?? null;
    else for (const item of this.items.values()) item.second = null;
    this.changed();
  }

  /** Another operating point: records are labelled anew, no picture is read again. */
  setPoint(point: string): void {
    this.point = point;
    for (const item of this.items.values()) {
      if (item.record && this.contract) item.record = relabel(item.record, this.contract, point);
      this.changed(item);
    }
    this.changed();
  }
}

/** A record for a picture that no model has seen: stopped, or the engine died over it. */
export function failedRecord(item: Item, reason: string, model: LoadedModel | null, point: string | null): PredictionRecord {
  const name = point ?? "";
  return {
    path: item.name,
    sha256: null,
    status: "error",
    label: null,
    probability: null,
    threshold: model?.contract.operatingPoints[name]?.threshold ?? 0,
    operating_point: name,
    subtype: null,
    typicality: null,
    reasons: [`${item.name}: ${reason}`],
    notes: [],
    heatmap: null,
    prediction_set: null,
    lungs: null,
    model: model?.info ?? { name: "", version: "", sha256: "" },
  };
}
