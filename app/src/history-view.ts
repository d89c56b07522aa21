/** The history: off until asked for, each entry and all of them to be deleted. */

import { allKept, forget, forgetAll, isKeeping, keep, type Kept, setKeeping, StorageError } from "./history.js";
import { decisionText } from "./result-view.js";
import { byId, el } from "./shared/dom.js";
import type { Item } from "./store.js";
import { texts as t } from "./texts.js";

export class HistoryView {
  readonly #root = byId("history");
  readonly #list = el("div", { class: "history-list" });
  readonly #onProblem: (words: string) => void;

  constructor(onProblem: (words: string) => void) {
    this.#onProblem = onProblem;
    const box = el("input", { type: "checkbox", id: "keep-history", checked: isKeeping() });
    box.addEventListener("change", () => this.#switch(box));
    this.#root.replaceChildren(
      el("h2", { id: "history-title" }, t.history),
      el("label", { class: "check" }, box, t.keepHistory),
      el("p", { class: "quiet" }, t.historyHint),
      this.#list,
    );
    void this.#draw();
  }

  /** Keep a result, where the user wants that. */
  async add(item: Item): Promise<void> {
    if (!isKeeping() || !item.record) return;
    try {
      await keep(item.record, item.when ?? new Date());
      await this.#draw();
    } catch (error) {
      this.#complain(error);
    }
  }

  #switch(box: HTMLInputElement): void {
    try {
      setKeeping(box.checked);
    } catch (error) {
      box.checked = false;
      this.#complain(error);
    }
  }

  async #draw(): Promise<void> {
    let kept: Kept[] = [];
    try {
      kept = await allKept();
    } catch (error) {
      if (isKeeping()) this.#complain(error);
    }
    if (kept.length === 0) {
      this.#list.replaceChildren(el("p", { class: "quiet" }, t.historyEmpty));
      return;
    }
    const rows = kept.slice(0, 200).map((entry) => this.#row(entry));
    const head = el("tr", {}, ...[t.historyWhen, t.columns.name, t.columns.result, t.columns.score, t.model].map((text) => el("th", { scope: "col" }, text)), el("td"));
    this.#list.replaceChildren(
      el("button", { type: "button", class: "button", id: "delete-history", onclick: () => void this.#change(forgetAll()) }, t.deleteAll),
      el("table", { class: "results-table" }, el("caption", { class: "visually-hidden" }, t.history), el("thead", {}, head), el("tbody", {}, ...rows)),
    );
  }

  #row({ key, when, record }: Kept): HTMLTableRowElement {
    return el(
      "tr",
      {},
      el("td", {}, new Date(when).toLocaleString()),
      el("th", { scope: "row" }, record.path),
      el("td", {}, decisionText(record, true)),
      el("td", { class: "number" }, record.probability?.toFixed(3) ?? ""),
      el("td", {}, `${record.model.name} ${record.model.version}`),
      el("td", {}, el("button", { type: "button", class: "button small", "aria-label": t.deleteOne(record.path), onclick: () => void this.#change(forget(key)) }, "×")),
    );
  }

  async #change(change: Promise<void>): Promise<void> {
    try {
      await change;
    } catch (error) {
      this.#complain(error);
    }
    await this.#draw();
  }

  #complain(error: unknown): void {
    this.#onProblem(error instanceof StorageError && error.isFull ? t.storageFull : t.storageOff);
  }
}
