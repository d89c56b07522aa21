/** The engine's worker: decodes, checks and judges, so that the page stays quick. */

import { type Examination, InputError, load, type Model, PneumoscopeError, Reader } from "@pneumoscope/engine";

import { browserAssets, fetchBuiltIn } from "./browser-assets.js";
import type { Answers, Examined, LoadedModel, Part, Reply, Request, Slot } from "./protocol.js";
import type { Picture } from "./shared/layers.js";

const models = new Map<Slot, Model>();
let current = 0;

const send = (reply: Reply, transfer: Transferable[] = []) => self.postMessage(reply, { transfer });
const onProgress = (part: Part, done: number, all: number) => send({ id: current, progress: { part, done, all } });
const assets = browserAssets(onProgress);
const reader = new Reader(assets);

async function bytesOf(file: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new InputError("the browser could not read the file; it may have been moved or changed");
  }
}

async function loadModel(request: Extract<Request, { kind: "load" }>): Promise<LoadedModel> {
  const file = request.file ? await bytesOf(request.file) : await fetchBuiltIn(onProgress);
  onProgress("start", 0, 1);
  const model = await load(file, assets, request.accelerator);
  models.get(request.slot)?.close();
  models.set(request.slot, model);
  return { info: model.info, contract: model.contract, card: model.card, isBuiltIn: request.file === null };
}

async function examine(request: Extract<Request, { kind: "examine" }>): Promise<Examined> {
  const model = models.get(request.slot);
  if (!model) throw new PneumoscopeError("no model is loaded");
  const data = await bytesOf(request.file);
  const { record, heatmap, lungs, timing }: Examination = await model.examine(data, request.name, request.point ?? undefined);
  return { record, heatmap, lungs, timing };
}

async function decodePicture(file: Blob): Promise<Picture | null> {
  try {
    const { pixels, deep } = await reader.read(await bytesOf(file));
    return { width: pixels.width, height: pixels.height, grey: pixels.data, deep };
  } catch (error) {
    if (error instanceof PneumoscopeError) return null; // its record says why
    throw error;
  }
}

async function answer(request: Request): Promise<Answers[Request["kind"]]> {
  switch (request.kind) {
    case "load": return loadModel(request);
    case "examine": return examine(request);
    case "picture": return decodePicture(request.file);
    case "unload":
      models.get(request.slot)?.close();
      models.delete(request.slot);
      return null;
  }
}

/** Buffers that the page may have, since the worker does not need them again. */
function buffersOf(value: Answers[Request["kind"]]): Transferable[] {
  if (value && "grey" in value) return [value.grey.buffer, ...(value.deep ? [value.deep.values.buffer] : [])];
  return [];
}

// One after the other: models share their memory, and pictures are large.
let last: Promise<void> = Promise.resolve();
self.addEventListener("message", ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  last = last.then(async () => {
    current = data.id;
    try {
      const value = await answer(data.request);
      send({ id: data.id, answer: value }, buffersOf(value));
    } catch (error) {
      send({ id: data.id, failure: error instanceof Error ? error.message : String(error) });
    }
  });
});
