/** The table of all pictures, and the line that says how far the work is. */

import { csvRow, save } from "./files.js";
import { briefScore } from "./detail-view.js";
import { decisionText, plainReasons, scoreText } from "./result-view.js";
import { byId } from "./shared/dom.js";
import { type Column, ResultsTable } from "./shared/table.js";
import type { Item, Store } from "./store.js";
import { texts as t } from "./texts.js";

export function bindResults(store: Store): void {
  let table = makeTable(store, false);
  let hasSecond = false;
  byId("table").replaceChildren(table.element);
  let queued = false;
  store.listen((item) => {
    if (item && store.items.has(item.id)) table.set(item);
    else if (item) table.remove(item.id);
    if (!item && hasSecond !== (store.models.second !== null)) {
      hasSecond = !hasSecond;
      table = makeTable(store, hasSecond);
      for (const each of store.items.values()) table.set(each);
      byId("table").replaceChildren(table.element);
    }
    if (queued) return; // hundreds of results come faster than a screen is drawn
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      showProgress(store);
      table.open(store.selected);
    });
  });
}

function showProgress(store: Store): void {
  const all = store.items.size;
  const done = [...store.items.values()].filter(({ state }) => state === "done").length;
  byId("results").hidden = all === 0;
  byId("table").hidden = all < 2 && !store.models.second;
  byId("csv").hidden = all < 2;
  byId("stop").hidden = done === all;
  byId("progress").textContent = all > 1 || done < all ? t.progress(done, all) : "";
}

function makeTable(store: Store, hasSecond: boolean): ResultsTable<Item> {
  const state = (item: Item) => (item.state === "working" ? t.working : t.queued);
  const columns: Column<Item>[] = [
    { key: "name", title: t.columns.name, cell: ({ name }) => name, sortBy: ({ name }) => name },
    {
      key: "result",
      title: t.columns.result,
      cell: (item) => (item.record && store.contract ? decisionText(item.record, true) : state(item)),
      sortBy: (item) => (item.record ? decisionText(item.record, true) : ""),
    },
    { key: "score", title: t.columns.score, isNumber: true, cell: briefScore, sortBy: (item) => item.record?.probability ?? -1 },
  ];
  if (hasSecond) columns.push({ key: "second", title: t.columns.second, cell: (item) => secondCell(item, store), sortBy: (item) => item.second?.probability ?? -1 });
  columns.push({ key: "notes", title: t.columns.notes, cell: notesCell });
  return new ResultsTable<Item>({
    caption: t.results,
    columns,
    id: ({ id }) => id,
    openLabel: ({ name }) => t.show(name),
    onOpen: (item) => {
      store.selected = item.id;
      store.changed();
    },
  });
}

function secondCell(item: Item, store: Store): string {
  if (!item.second || !store.models.second) return "";
  const score = item.second.probability === null ? "" : ` ${scoreText(item.second.probability, item.second.threshold)}`;
  return decisionText(item.second, true) + score;
}

function notesCell(item: Item): string {
  return item.record ? [...item.record.notes, ...plainReasons(item.record)].join("; ") : "";
}

/** All results as CSV. */
export function saveTable(store: Store): void {
  const head = ["path", "status", "label", "probability", "operating_point", "threshold", "prediction_set", "typicality", "notes", "reasons", "sha256", "model", "model_sha256"];
  const rows = [...store.items.values()].flatMap(({ record }) =>
    record
      ? [csvRow([record.path, record.status, record.label, record.probability, record.operating_point, record.threshold, record.prediction_set?.join(" ") ?? null, record.typicality, record.notes.join("; "), record.reasons.join("; "), record.sha256, `${record.model.name} ${record.model.version}`, record.model.sha256])]
      : [],
  );
  save("pneumoscope.csv", csvRow(head) + rows.join(""), "text/csv");
}
