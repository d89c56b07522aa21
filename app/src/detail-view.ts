/** The selected picture: viewer with its toolbar, result, comparison, and what can be done with it. */

import type { EngineClient } from "./engine-client.js";
import { save } from "./files.js";
import { printReport } from "./report.js";
import { resultView, scoreText } from "./result-view.js";
import { el } from "./shared/dom.js";
import { type ViewState, Viewer } from "./shared/viewer.js";
import type { Item, Store } from "./store.js";
import { texts as t } from "./texts.js";

export class DetailView {
  readonly #root: HTMLElement;
  readonly #store: Store;
  readonly #engine: EngineClient;
  readonly #onRemove: (item: Item) => void;
  readonly #canvas = el("canvas", { class: "picture", tabindex: "0", role: "img", "aria-describedby": "viewer-help" });
  readonly #viewer = new Viewer(this.#canvas);
  readonly #toolbar = new Toolbar(this.#viewer);
  readonly #figure: HTMLElement;
  readonly #words = el("div", { class: "words" });
  #shown: string | null = null;

  constructor(root: HTMLElement, store: Store, engine: EngineClient, onRemove: (item: Item) => void) {
    [this.#root, this.#store, this.#engine, this.#onRemove] = [root, store, engine, onRemove];
    this.#figure = el(
      "div",
      { class: "figure" },
      this.#canvas,
      this.#toolbar.element,
      el("p", { id: "viewer-help", class: "visually-hidden" }, t.viewer.help),
    );
    this.#root.replaceChildren(this.#words, this.#figure);
    store.listen((item) => {
      if (!item || item.id === store.selected) this.#update();
    });
  }

  #update(): void {
    const item = this.#store.selectedItem;
    const contract = this.#store.contract;
    this.#root.hidden = !item;
    if (!item || !contract) return;
    if (this.#shown !== `${item.id} ${item.state}`) void this.#showPicture(item);
    const record = item.record;
    this.#words.replaceChildren(
      el("h3", { class: "name" }, item.name),
      record ? resultView(record, contract) : el("p", { class: "quiet" }, item.state === "working" ? t.working : t.queued),
      ...this.#comparison(item),
      record?.status === "ok" ? el("p", { class: "quiet" }, t.heatmapIs) : "",
      this.#actions(item),
      el("p", { class: "small-notice" }, t.research),
    );
  }

  #comparison(item: Item): Node[] {
    const { first, second } = this.#store.models;
    if (!second || !first || !item.second || !item.record) return [];
    const [a, b] = [item.record, item.second];
    const bothJudged = a.probability !== null && b.probability !== null;
    const agree = (a.label ?? a.status) === (b.label ?? b.status);
    return [
      el("h3", {}, t.compared(`${first.info.name} ${first.info.version}`, `${second.info.name} ${second.info.version}`)),
      el("p", {}, agree ? t.sameSide : t.otherSide, bothJudged ? `. ${t.difference(Math.abs(a.probability - b.probability).toFixed(3))}.` : "."),
      el("div", { class: "second" }, el("h4", {}, `${second.info.name} ${second.info.version}`), resultView(b, second.contract)),
    ];
  }

  #actions(item: Item): HTMLElement {
    const record = item.record;
    const contract = this.#store.contract;
    const isDone = record !== null && contract !== null;
    return el(
      "div",
      { class: "buttons actions" },
      isDone && el("button", { type: "button", class: "button", onclick: () => printReport(item, contract, this.#viewer) }, t.report),
      isDone && el("button", { type: "button", class: "button", onclick: () => save(`${baseName(item.name)}.json`, `${JSON.stringify(record)}\n`, "application/json") }, t.saveJson),
      el("button", { type: "button", class: "button", onclick: () => this.#onRemove(item) }, t.remove),
    );
  }

  async #showPicture(item: Item): Promise<void> {
    const key = `${item.id} ${item.state}`;
    this.#shown = key;
    this.#canvas.setAttribute("aria-label", t.viewer.label(item.name));
    const picture = item.state === "done" ? await this.#engine.ask({ kind: "picture", file: item.file }).catch(() => null) : null;
    if (this.#shown !== key) return; // another one was chosen meanwhile
    const lungBox = item.record?.lungs?.box ?? null;
    this.#viewer.show(picture, { heat: item.heatmap, lungs: item.lungs, lungBox });
    this.#figure.hidden = picture === null;
    this.#toolbar.offer({ heat: item.heatmap !== null, lungs: item.lungs !== null || lungBox !== null, isDeep: picture?.deep !== null, span: picture?.deep ?? null });
  }
}

export const baseName = (name: string): string => name.split("/").at(-1)!;

/** One line about a result, for the table. */
export function briefScore(item: Item): string {
  return item.record?.probability != null ? scoreText(item.record.probability, item.record.threshold) : "";
}

interface Offer {
  readonly heat: boolean;
  readonly lungs: boolean;
  readonly isDeep: boolean;
  readonly span: { readonly centre: number; readonly width: number } | null;
}

/** Buttons and sliders of the viewer. */
class Toolbar {
  readonly element: HTMLElement;
  readonly #viewer: Viewer;
  readonly #toggles: Record<"invert" | "heat" | "lungs", HTMLButtonElement>;
  readonly #sliders: Record<"opacity" | "level" | "window", HTMLInputElement>;
  readonly #outputs: Record<"level" | "window", HTMLOutputElement> = { level: el("output"), window: el("output") };
  readonly #deep = el("span", { class: "quiet" }, t.viewer.sixteenBit);
  readonly #legend: HTMLElement;

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
    const { viewer: v } = t;
    const toggle = (what: "invert" | "heat" | "lungs", text: string) =>
      el("button", { type: "button", class: "button", "aria-pressed": "false", onclick: () => viewer.toggle(what) }, text);
    this.#toggles = { invert: toggle("invert", v.invert), heat: toggle("heat", v.heatmap), lungs: toggle("lungs", v.lungs) };
    const slider = (id: string, set: (value: number) => void) =>
      el("input", { id, type: "range", oninput: (event) => set((event.target as HTMLInputElement).valueAsNumber) });
    this.#sliders = {
      opacity: slider("opacity", (value) => viewer.setOpacity(value / 100)),
      level: slider("level", (centre) => viewer.setWindow({ ...viewer.state.window, centre })),
      window: slider("window", (width) => viewer.setWindow({ ...viewer.state.window, width })),
    };
    Object.assign(this.#sliders.opacity, { min: "0", max: "100" });
    const press = (text: string, label: string, act: () => void) => el("button", { type: "button", class: "button", "aria-label": label, title: label, onclick: act }, text);
    const labelled = (text: string, input: HTMLInputElement, output?: HTMLOutputElement) =>
      el("label", { for: input.id, class: "slider" }, el("span", {}, text, " ", output), input);
    this.#legend = el("p", { class: "legend" }, v.legend[0], el("span", { class: "ramp", "aria-hidden": "true" }), v.legend[1]);
    this.element = el(
      "div",
      { class: "toolbar", role: "group", "aria-label": v.toolbar },
      el("div", { class: "buttons" }, press("−", v.zoomOut, () => viewer.zoomBy(0.8)), press("+", v.zoomIn, () => viewer.zoomBy(1.25)), press(v.fit, v.fit, () => viewer.fit()), press(v.reset, v.reset, () => viewer.reset()), this.#toggles.invert, this.#toggles.heat, this.#toggles.lungs),
      this.#legend,
      labelled(v.opacity, this.#sliders.opacity),
      labelled(v.level, this.#sliders.level, this.#outputs.level),
      labelled(v.window, this.#sliders.window, this.#outputs.window),
      this.#deep,
    );
    viewer.onChange = (state) => this.#show(state);
  }

  /** What this picture has. */
  offer({ heat, lungs, isDeep, span }: Offer): void {
    this.#toggles.heat.hidden = this.#legend.hidden = !heat;
    this.#toggles.lungs.hidden = !lungs;
    this.#sliders.opacity.parentElement!.hidden = !heat && !lungs;
    this.#deep.hidden = !isDeep;
    const { centre, width } = span ?? { centre: 127.5, width: 255 };
    const step = span ? String(Math.max(1e-6, width / 500)) : "1";
    Object.assign(this.#sliders.level, { min: String(centre - width), max: String(centre + width), step });
    Object.assign(this.#sliders.window, { min: span ? String(width / 100) : "1", max: String(2 * width), step });
    this.#show(this.#viewer.state);
  }

  #show(state: ViewState): void {
    const pressed = { invert: state.invert, heat: state.showHeat, lungs: state.showLungs };
    for (const [what, isOn] of Object.entries(pressed)) this.#toggles[what as keyof typeof pressed].setAttribute("aria-pressed", String(isOn));
    this.#sliders.opacity.value = String(Math.round(state.opacity * 100));
    this.#sliders.level.value = String(state.window.centre);
    this.#sliders.window.value = String(state.window.width);
    this.#outputs.level.value = Math.round(state.window.centre).toString();
    this.#outputs.window.value = Math.round(state.window.width).toString();
  }
}
