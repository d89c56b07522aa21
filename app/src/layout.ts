/** The page's frame, built once; what changes is filled in by the views. */

import { el, svg } from "./shared/dom.js";
import { texts as t } from "./texts.js";

/** Build the frame into #app. */
export function buildLayout(root: HTMLElement): void {
  root.replaceChildren(
    el("a", { class: "skip", href: "#main" }, t.skip),
    el("p", { class: "notice" }, el("strong", {}, t.research)),
    el(
      "header",
      { class: "top" },
      el("div", { class: "brand" }, el("img", { src: "icon.svg", alt: "", width: 28, height: 28 }), t.title),
      el("p", { id: "offline", class: "quiet", role: "status" }),
    ),
    el(
      "main",
      { id: "main", tabindex: "-1" },
      el("h1", {}, t.title),
      el("p", { class: "lead" }, t.lead),
      el("div", { id: "alerts", role: "alert" }),
      loadingBox(),
      dropBox(),
      el("section", { id: "settings", class: "settings", "aria-label": t.model, hidden: true }),
      resultsBox(),
      el("section", { id: "history", class: "panel", "aria-labelledby": "history-title" }),
    ),
    el("footer", { class: "foot" }, el("p", {}, t.footer), el("p", { id: "intended-use" })),
    el("section", { id: "report", class: "report", "aria-hidden": "true" }),
    el("dialog", { id: "camera", "aria-labelledby": "camera-title" }),
  );
}

function loadingBox(): HTMLElement {
  return el(
    "div",
    { id: "loading", class: "panel loading" },
    el("label", { for: "loading-bar", id: "loading-text" }, t.loading),
    el("progress", { id: "loading-bar", max: 1 }),
    el("p", { id: "loading-bytes", class: "quiet" }),
  );
}

function dropBox(): HTMLElement {
  const chest = svg(
    "svg",
    { viewBox: "0 0 48 48", width: 44, height: 44, class: "drop-icon", "aria-hidden": "true" },
    svg("rect", { x: 7, y: 5, width: 34, height: 38, rx: 4 }),
    svg("path", { d: "M24 11v22M20 17c-7 0-10 8-9 17 5 1 9-1 9-5zM28 17c7 0 10 8 9 17-5 1-9-1-9-5z" }),
  );
  // No accept list: DICOM files often have no ending, and what a file is is told by its content.
  const choose = (id: string, text: string, extra: Record<string, string | boolean>) =>
    el("label", { class: "button" }, el("input", { id, type: "file", class: "visually-hidden", multiple: true, ...extra }), text);
  return el(
    "div",
    { id: "drop", class: "drop" },
    chest,
    el("p", { class: "drop-text" }, el("strong", {}, t.drop), " ", t.dropHint),
    el(
      "div",
      { class: "buttons" },
      choose("files", t.chooseFiles, {}),
      choose("folder", t.chooseFolder, { webkitdirectory: true }),
      el("button", { id: "camera-open", type: "button", class: "button" }, t.takePicture),
    ),
  );
}

function resultsBox(): HTMLElement {
  return el(
    "section",
    { id: "results", class: "results", "aria-labelledby": "results-title", hidden: true },
    el(
      "div",
      { class: "results-head" },
      el("h2", { id: "results-title" }, t.results),
      el("p", { id: "progress", class: "quiet", role: "status" }),
      el(
        "div",
        { class: "buttons" },
        el("button", { id: "stop", type: "button", class: "button", hidden: true }, t.stop),
        el("button", { id: "csv", type: "button", class: "button" }, t.saveCsv),
        el("button", { id: "clear", type: "button", class: "button" }, t.clear),
      ),
    ),
    el("div", { class: "results-body" }, el("div", { id: "table", class: "table-box" }), el("article", { id: "detail", class: "panel detail", "aria-live": "polite" })),
  );
}
