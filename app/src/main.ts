/** Puts the page together: files in, through the queue, results out. */

import type { Accelerator } from "@pneumoscope/engine";

import { takePicture } from "./camera.js";
import { DetailView } from "./detail-view.js";
import { EngineClient } from "./engine-client.js";
import { fromDrop, fromList, type NamedFile, sift } from "./files.js";
import { HistoryView } from "./history-view.js";
import { buildLayout } from "./layout.js";
import { keepOffline } from "./offline.js";
import type { Part, Slot } from "./protocol.js";
import { Queue } from "./queue.js";
import { bindResults, saveTable } from "./results-view.js";
import { bindSettings } from "./settings-view.js";
import { byId, el } from "./shared/dom.js";
import { type Item, Store } from "./store.js";
import { texts as t } from "./texts.js";

const store = new Store();
const engine = new EngineClient();
const files: Record<Slot, File | null> = { first: null, second: null };
let accelerator: Accelerator = "wasm";

function alertUser(words: string): void {
  const close = el("button", { type: "button", class: "button small", "aria-label": t.remove, onclick: () => box.remove() }, "×");
  const box = el("p", { class: "alert" }, el("span", {}, words), close);
  byId("alerts").append(box);
}

function showLoading(part: Part, done: number, all: number): void {
  byId("loading").hidden = false;
  byId("loading-text").textContent = t.loadingPart[part];
  const bar = byId<HTMLProgressElement>("loading-bar");
  if (part === "start") bar.removeAttribute("value");
  else bar.value = Math.min(1, done / all);
  byId("loading-bytes").textContent = part === "start" ? "" : t.loadedBytes(t.megabytes(done), t.megabytes(Math.max(done, all)));
}

/** Load a model; where that fails, the one before goes on. */
async function loadModel(slot: Slot, file: File | null): Promise<void> {
  try {
    const model = await engine.ask({ kind: "load", slot, file, accelerator }, showLoading);
    files[slot] = file;
    store.setModel(slot, model);
    byId("alerts").replaceChildren();
    queue.run();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (file) alertUser(t.modelFailed(file.name, reason));
    else alertUser(navigator.onLine ? t.loadFailed(reason) : t.offlineFirst);
    if (!file) byId("alerts").append(el("button", { type: "button", class: "button", onclick: () => void loadModel(slot, null) }, t.retry));
  } finally {
    byId("loading").hidden = true;
  }
}

/** After the worker died: the models that it held, in the same order. */
async function reloadModels(): Promise<void> {
  const second = store.models.second !== null;
  await loadModel("first", files.first);
  if (second) await loadModel("second", files.second);
}

const queue = new Queue(store, engine, reloadModels);

function addFiles(found: readonly NamedFile[], isFolder: boolean): void {
  const { kept, skipped } = isFolder ? sift(found) : { kept: [...found], skipped: 0 };
  if (kept.length === 0) alertUser(t.noFiles);
  else if (skipped > 0) alertUser(t.skipped(skipped));
  const added = kept.map(({ file, name }) => store.add(file, name));
  if (added[0]) {
    store.selected = added[0].id;
    store.changed();
  }
  queue.run();
}

function removeItem(item: Item): void {
  store.items.delete(item.id);
  if (store.selected === item.id) store.selected = [...store.items.keys()].at(-1) ?? null;
  store.changed(item);
  store.changed();
}

function bindInputs(): void {
  for (const id of ["files", "folder"]) {
    const input = byId<HTMLInputElement>(id);
    input.addEventListener("change", () => {
      addFiles(fromList(input.files), id === "folder");
      input.value = ""; // so that the same file can be chosen again
    });
  }
  const drop = byId("drop");
  for (const name of ["dragover", "dragleave", "drop"] as const) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
    });
  }
  document.addEventListener("drop", (event) => {
    if (event.dataTransfer) void fromDrop(event.dataTransfer).then(({ files: found, hadFolder }) => addFiles(found, hadFolder));
  });
  document.addEventListener("paste", (event) => {
    const found = fromList(event.clipboardData?.files ?? null);
    if (found.length > 0) addFiles(found.map(({ file, name }) => ({ file, name: name || t.pastedName })), false);
  });
  byId("camera-open").addEventListener("click", () => {
    takePicture().then(
      (file) => file && addFiles([{ file, name: file.name }], false),
      (error: Error) => alertUser(error.message),
    );
  });
  byId("stop").addEventListener("click", () => queue.stop());
  byId("csv").addEventListener("click", () => saveTable(store));
  byId("clear").addEventListener("click", () => {
    for (const item of [...store.items.values()]) removeItem(item);
  });
}

/** Why this browser cannot run the page, or null. */
function whyNot(): string | null {
  if (!window.isSecureContext) return t.notSecure;
  if (typeof WebAssembly !== "object") return t.noWasm;
  const needed = ["OffscreenCanvas", "TransformStream", "ResizeObserver", "Worker"];
  return needed.every((name) => name in window) && "hasOwn" in Object ? null : t.oldBrowser;
}

function start(): void {
  buildLayout(byId("app"));
  const hindrance = whyNot();
  if (hindrance) {
    byId("loading").hidden = true;
    byId("drop").hidden = true;
    alertUser(hindrance);
    return;
  }
  bindResults(store);
  bindSettings(store, {
    load: (slot, file) => void loadModel(slot, file),
    unload: (slot) => void engine.ask({ kind: "unload", slot }).then(() => store.setModel(slot, null)),
    compute: (wanted) => {
      accelerator = wanted;
      void reloadModels();
    },
  });
  new DetailView(byId("detail"), store, engine, removeItem);
  const history = new HistoryView(alertUser);
  const timings: NonNullable<Item["timing"]>[] = [];
  Object.assign(window, { pneumoscopeTimings: timings }); // app/bench reads them
  queue.onDone = (item) => {
    if (item.timing) timings.push(item.timing);
    void history.add(item);
  };
  bindInputs();
  void loadModel("first", null).then(keepOffline);
}

start();
