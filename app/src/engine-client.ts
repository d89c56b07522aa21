/** The page's side of the worker: promises for messages, and a new worker where one hangs or dies. */

import type { Answers, Part, Reply, Request } from "./protocol.js";

/** Longer than the largest picture takes on a slow phone. */
const PATIENCE = 120_000;

export class EngineFailure extends Error {
  /** Whether the worker is gone, with every model in it. */
  readonly isFatal: boolean;

  constructor(message: string, isFatal = false) {
    super(message);
    this.isFatal = isFatal;
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  onProgress: ((part: Part, done: number, all: number) => void) | undefined;
  timer: number;
}

export class EngineClient {
  #worker: Worker | null = null;
  #waiting = new Map<number, Waiting>();
  #next = 1;

  /**
   * @throws EngineFailure what the worker could not do, in words; fatal where the worker itself is gone
   */
  ask<R extends Request>(
    request: R,
    onProgress?: (part: Part, done: number, all: number) => void,
  ): Promise<Answers[R["kind"]]> {
    const worker = (this.#worker ??= this.#start());
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      // A download may take any time; what it downloads reports progress, and each report is a sign of life.
      const waiting: Waiting = { resolve: resolve as (value: unknown) => void, reject, onProgress, timer: 0 };
      this.#waiting.set(id, waiting);
      if (request.kind !== "load") this.#arm(waiting);
      worker.postMessage({ id, request });
    });
  }

  #arm(waiting: Waiting): void {
    waiting.timer = window.setTimeout(() => this.#die("took too long and was given up"), PATIENCE);
  }

  #start(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "pneumoscope" });
    worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.#onReply(data));
    worker.addEventListener("error", (event) => this.#die(event.message || "it could not be started"));
    worker.addEventListener("messageerror", () => this.#die("a message was lost"));
    return worker;
  }

  #onReply(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (!waiting) return;
    if ("progress" in reply) {
      waiting.onProgress?.(reply.progress.part, reply.progress.done, reply.progress.all);
      return;
    }
    clearTimeout(waiting.timer);
    this.#waiting.delete(reply.id);
    if ("failure" in reply) waiting.reject(new EngineFailure(reply.failure));
    else waiting.resolve(reply.answer);
  }

  #die(reason: string): void {
    this.#worker?.terminate();
    this.#worker = null;
    const lost = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of lost) {
      clearTimeout(waiting.timer);
      waiting.reject(new EngineFailure(reason, true));
    }
  }
}
