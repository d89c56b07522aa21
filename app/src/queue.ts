/** Judges what waits, one picture after the other; a picture that kills the engine costs only itself. */

import type { EngineClient } from "./engine-client.js";
import { EngineFailure } from "./engine-client.js";
import { failedRecord, type Item, type Store } from "./store.js";
import { texts } from "./texts.js";

export class Queue {
  readonly #store: Store;
  readonly #engine: EngineClient;
  /** Brings the models back after the worker died. */
  readonly #reload: () => Promise<void>;
  #isRunning = false;
  /** Told of each new result. */
  onDone: ((item: Item) => void) | null = null;

  constructor(store: Store, engine: EngineClient, reload: () => Promise<void>) {
    this.#store = store;
    this.#engine = engine;
    this.#reload = reload;
  }

  /** Start on what waits; returns at once. */
  run(): void {
    if (this.#isRunning || !this.#store.models.first) return;
    this.#isRunning = true;
    void this.#work().finally(() => {
      this.#isRunning = false;
      this.#store.changed();
    });
  }

  /** Give up what waits; each says so. */
  stop(): void {
    for (const item of this.#store.items.values()) {
      if (item.state !== "waiting") continue;
      this.#finish(item, failedRecord(item, texts.stopped, this.#store.models.first, this.#store.point));
    }
  }

  #nextItem(): Item | undefined {
    const items = [...this.#store.items.values()];
    const needsSecond = (item: Item) => item.state === "done" && this.#store.models.second && item.record?.sha256 && !item.second;
    return items.find((item) => item.state === "waiting") ?? items.find(needsSecond);
  }

  async #work(): Promise<void> {
    for (let item = this.#nextItem(); item; item = this.#nextItem()) await this.#judge(item);
  }

  async #judge(item: Item): Promise<void> {
    const { models, point } = this.#store;
    if (item.state === "waiting") {
      item.state = "working";
      this.#store.changed(item);
    }
    try {
      if (!item.record) {
        const answer = await this.#engine.ask({ kind: "examine", slot: "first", file: item.file, name: item.name, point });
        Object.assign(item, { heatmap: answer.heatmap, lungs: answer.lungs, timing: answer.timing });
        this.#finish(item, answer.record);
      }
      if (models.second && !item.second) {
        const answer = await this.#engine.ask({ kind: "examine", slot: "second", file: item.file, name: item.name, point: null });
        item.second = answer.record;
        this.#store.changed(item);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const words = error instanceof EngineFailure && error.isFatal ? texts.crashed(reason) : reason;
      if (!item.record) this.#finish(item, failedRecord(item, words, models.first, point));
      else item.second = failedRecord(item, words, models.second, null);
      if (error instanceof EngineFailure && error.isFatal) await this.#reload();
    }
  }

  #finish(item: Item, record: Item["record"]): void {
    Object.assign(item, { record, state: "done", when: new Date() });
    this.#store.changed(item);
    this.onDone?.(item);
  }
}
