/** One result in words: decision, score on its scale, set of answers, notes above them all. The same for page and report. */

import type { Contract, PredictionRecord } from "@pneumoscope/engine";

import { scoreBar, shareBar } from "./shared/bar.js";
import { el } from "./shared/dom.js";
import { texts as t } from "./texts.js";

/** Two decimals, never 0 or 1, and more where they are needed to show on which side of a threshold a score lies. */
export function scoreText(score: number, threshold: number): string {
  if (score > 0.99 && threshold <= 0.99) return "above 0.99";
  if (score < 0.01 && threshold >= 0.01) return "below 0.01";
  for (const digits of [2, 3, 4]) {
    const text = score.toFixed(digits);
    if (Number(text) >= threshold === score >= threshold) return text;
  }
  return score.toFixed(6);
}

/** A share in percent that never says 0 or 100 for what is not. */
export function shareText(share: number): string {
  const percent = share * 100;
  if (percent > 99.5 && percent < 100) return `${(Math.floor(percent * 10) / 10).toFixed(1)} %`;
  if (percent > 0 && percent < 0.5) return `${(Math.ceil(percent * 10) / 10).toFixed(1)} %`;
  return `${percent.toFixed(0)} %`;
}

/** The decision as a phrase: never a diagnosis. */
export function decisionText(record: PredictionRecord, contract: Contract): string {
  if (record.status === "refused") return t.refused;
  if (record.status === "error") return t.error;
  return record.label === contract.labels[1] ? t.above : t.below;
}

export function isUncertain(record: PredictionRecord): boolean {
  return record.prediction_set !== null && record.prediction_set.length > 1;
}

/** Notes, without the path that reasons begin with. */
export function plainReasons(record: PredictionRecord): string[] {
  return record.reasons.map((reason) => (reason.startsWith(`${record.path}: `) ? reason.slice(record.path.length + 2) : reason));
}

export function noteList(record: PredictionRecord): HTMLElement | null {
  if (record.notes.length === 0) return null;
  return el("div", { class: "notes" }, el("h3", {}, t.notes), el("ul", {}, ...record.notes.map((note) => el("li", {}, note))));
}

/** Everything that a judged or refused record says. */
export function resultView(record: PredictionRecord, contract: Contract): HTMLElement {
  const decision = decisionText(record, contract);
  const box = el("div", { class: "result" }, noteList(record));
  box.append(el("p", { class: "decision" }, decision));
  if (record.status !== "ok" || record.probability === null) {
    box.append(el("h3", {}, t.reasons), el("ul", { class: "reasons" }, ...plainReasons(record).map((reason) => el("li", {}, reason))));
    return box;
  }
  const points = Object.entries(contract.operatingPoints).map(([name, { threshold }]) => ({
    name: t.pointName(name),
    threshold,
    isChosen: name === record.operating_point,
  }));
  const score = scoreText(record.probability, record.threshold);
  const labels = points.map(({ name, threshold }) => t.pointLabel(name, threshold.toFixed(2))).join(" ");
  box.append(
    el("p", { class: "quiet" }, t.atPoint(record.operating_point, record.threshold.toFixed(3))),
    el("p", { class: "score" }, `${t.score}: `, el("strong", {}, score)),
    scoreBar({ score: record.probability, points, uncertain: contract.uncertain, label: t.scoreLabel(score, labels) }),
  );
  if (record.prediction_set) {
    const words = isUncertain(record) ? t.uncertainMeaning : t.certainMeaning(record.prediction_set[0] ?? decision);
    box.append(el("p", { class: "set" }, isUncertain(record) ? el("strong", {}, `${t.uncertain}. `) : null, words));
  }
  box.append(el("p", { class: "quiet" }, t.scoreMeaning), ...subtypes(record, contract));
  if (record.typicality !== null) {
    box.append(el("p", { class: "quiet" }, t.typicality(record.typicality.toFixed(2), contract.typicalityLimit.toFixed(2))));
  }
  return box;
}

/** Kinds of pneumonia, as shares among the pneumonias: nothing to say below the operating point. */
function subtypes(record: PredictionRecord, contract: Contract): Node[] {
  if (!record.subtype || record.label !== contract.labels[1]) return [];
  const kinds = Object.entries(record.subtype).filter(([name]) => name !== contract.labels[0]);
  const sum = kinds.reduce((total, [, share]) => total + share, 0);
  if (sum <= 0) return [];
  const rows = kinds.flatMap(([name, share]) => [
    el("dt", {}, name.toLowerCase()),
    el("dd", {}, shareBar(share / sum), ` ${shareText(share / sum)}`),
  ]);
  return [el("h3", {}, t.subtype), el("dl", { class: "subtypes" }, ...rows)];
}
