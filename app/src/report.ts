/** A report of one page to print or to save as PDF: picture, heatmap, result, notes, model and hashes. */

import type { Contract } from "@pneumoscope/engine";

import { decisionText, meaningOfScore, plainReasons, scoreText } from "./result-view.js";
import { byId, el } from "./shared/dom.js";
import type { Viewer } from "./shared/viewer.js";
import type { Item } from "./store.js";
import { texts as t } from "./texts.js";

const SIDE = 700;

/** Fill the report and open the browser's print dialog. */
export function printReport(item: Item, contract: Contract, viewer: Viewer): void {
  fillReport(item, contract, viewer);
  window.print();
}

export function fillReport(item: Item, contract: Contract, viewer: Viewer): void {
  const record = item.record;
  if (!record) return;
  const rows = t.reportRows;
  const set = record.prediction_set?.map((label) => label.toLowerCase()).join(", ");
  const facts: [string, string | undefined][] = [
    [rows.file, item.name],
    [rows.sha256, record.sha256 ?? undefined],
    [rows.result, t.capital(decisionText(record))],
    [t.reasons, plainReasons(record).join("; ") || undefined],
    [rows.score, record.probability === null ? undefined : scoreText(record.probability, record.threshold)],
    [rows.point, t.atPoint(record.operating_point, scoreText(record.threshold))],
    [rows.set, set],
    [rows.model, `${record.model.name} ${record.model.version}`],
    [rows.modelSha256, record.model.sha256],
    [rows.when, item.when?.toLocaleString()],
    [rows.use, contract.intendedUse],
  ];
  const list = el("dl", {});
  for (const [name, value] of facts) if (value) list.append(el("dt", {}, name), el("dd", {}, value));
  byId("report").replaceChildren(
    el("p", { class: "report-notice" }, el("strong", {}, t.research)),
    el("h2", {}, t.reportTitle),
    record.notes.length > 0 ? el("div", { class: "report-notes" }, el("h3", {}, t.notes), el("ul", {}, ...record.notes.map((note) => el("li", {}, note)))) : "",
    el("div", { class: "report-pictures" }, ...pictures(item, viewer)),
    list,
    record.status === "ok" ? el("p", {}, meaningOfScore(contract), " ", t.heatmapIs) : "",
  );
}

function pictures(item: Item, viewer: Viewer): HTMLElement[] {
  const figure = (withHeat: boolean, caption: string) => {
    const canvas = viewer.snapshot(SIDE, withHeat);
    return canvas ? [el("figure", {}, canvas, el("figcaption", {}, caption))] : [];
  };
  return [...figure(false, t.pictureCaption), ...(item.heatmap ? figure(true, t.heatmapCaption) : [])];
}
