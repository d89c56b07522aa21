/** Which model judges, at which operating point, and which second model to compare with. */

import type { Accelerator } from "@pneumoscope/engine";

import type { Slot } from "./protocol.js";
import { shareText } from "./result-view.js";
import { byId, el } from "./shared/dom.js";
import type { Store } from "./store.js";
import { texts as t } from "./texts.js";

export interface SettingsActions {
  load(slot: Slot, file: File | null): void;
  unload(slot: Slot): void;
  compute(accelerator: Accelerator): void;
}

export function bindSettings(store: Store, actions: SettingsActions): void {
  const root = byId("settings");
  let drawn: unknown = null;
  store.listen((item) => {
    // Redrawn when a model changes, not with each result: a select that is open must stay so.
    const state = `${store.models.first?.info.sha256} ${store.models.second?.info.sha256}`;
    if (item || state === drawn || !store.models.first) return;
    drawn = state;
    root.hidden = false;
    root.replaceChildren(...settings(store, actions));
    byId("intended-use").textContent = store.models.first.contract.intendedUse;
  });
}

function settings(store: Store, actions: SettingsActions): Node[] {
  const { first, second } = store.models;
  const { contract } = first!;
  const options = Object.entries(contract.operatingPoints).map(([name, point]) =>
    el("option", { value: name, selected: name === store.point }, t.pointOption(name, shareText(point.sensitivity), shareText(point.specificity))),
  );
  const modelFile = (slot: Slot, text: string) => {
    const input = el("input", { type: "file", class: "visually-hidden", id: `model-${slot}`, accept: ".tflite" });
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) actions.load(slot, file);
      input.value = "";
    });
    return el("label", { class: "button" }, input, text);
  };
  return [
    el(
      "label",
      { class: "field" },
      el("span", {}, t.operatingPoint),
      el("select", { id: "operating-point", onchange: (event) => store.setPoint((event.target as HTMLSelectElement).value) }, ...options),
    ),
    el(
      "details",
      { id: "model-details" },
      el("summary", {}, t.ready(first!.info.name, first!.info.version), second ? ` + ${second.info.name} ${second.info.version}` : ""),
      el("p", { class: "hash" }, "SHA-256 ", el("code", {}, first!.info.sha256)),
      el(
        "div",
        { class: "buttons" },
        modelFile("first", t.otherModel),
        !first!.isBuiltIn && el("button", { type: "button", class: "button", onclick: () => actions.load("first", null) }, t.builtIn),
        second ? el("button", { type: "button", class: "button", onclick: () => actions.unload("second") }, t.stopCompare) : modelFile("second", t.compare),
        el("label", { class: "field inline" }, el("span", {}, t.compute), accelerators(actions)),
      ),
      el("details", {}, el("summary", {}, t.modelCard), el("pre", { class: "card", tabindex: "0" }, first!.card)),
    ),
  ];
}

function accelerators(actions: SettingsActions): HTMLSelectElement {
  const select = el("select", { id: "accelerator", onchange: () => actions.compute(select.value as Accelerator) });
  for (const [value, text] of Object.entries(t.computeWith)) select.append(el("option", { value }, text));
  const hasGpu = "gpu" in navigator;
  (select.lastElementChild as HTMLOptionElement).disabled = !hasGpu;
  return select;
}
