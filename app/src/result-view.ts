/** One result in words: decision, score on its scale, set of answers, notes above them all. The same for page and report. */

import type { Contract, PredictionRecord } from "@pneumoscope/engine";

import { scoreBar, shareBar } from "./shared/bar.js";
import { el } from "./shared/dom.js";
import { texts as t } from "./texts.js";

/** Three decimals, or as many as keep a score on its side of a threshold and off 0 and 1, as wording.py writes it. */
export function scoreText(score: number, threshold: number | null = null): string {
  for (let digits = 3; digits <= 6; digits++) {
    const text = score.toFixed(digits);
    const shown = Number(text);
    const isSameSide = threshold === null || shown >= threshold === score >= threshold;
    if (isSameSide && (shown === 0 || shown === 1) === (score === 0 || score === 1)) return text;
  }
  return String(score);
}

/** A share in percent that never says 0 or 100 for what is not, as wording.py writes it. */
export function shareText(share: number): string {
  if (share >= 0.9995 && share < 1) return "> 99.9 %";
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** The decision as a phrase, never a diagnosis; an uncertain one says so first. */
export function decisionText(record: PredictionRecord, isShort = false): string {
  if (record.probability === null) {
    const status = record.status === "refused" ? t.refused : t.error;
    return isShort ? status : t.notJudged(status);
  }
  const isAbove = record.probability >= record.threshold;
  const [above, below] = isShort ? [t.aboveShort, t.belowShort] : [t.above, t.below];
  const text = (isAbove ? above : below)(record.operating_point);
  return isUncertain(record) ? `${t.uncertain} (${text})` : text;
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

/** What the score of a model is the probability of. */
export function meaningOfScore(contract: Contract): string {
  return contract.prevalence === null ? t.scoreMeaning.validation : t.scoreMeaning.half;
}

/** Everything that a judged or refused record says. */
export function resultView(record: PredictionRecord, contract: Contract): HTMLElement {
  const box = el("div", { class: "result" }, noteList(record));
  box.append(el("p", { class: "decision" }, t.capital(decisionText(record))));
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
  const labels = points.map(({ name, threshold }) => t.pointLabel(name, scoreText(threshold))).join(" ");
  box.append(
    el("p", { class: "quiet at-point" }, `${t.atPoint(record.operating_point, scoreText(record.threshold))}. `, t.capital(t.pointMeaning(record.operating_point))),
    el("p", { class: "score" }, `${t.score}: `, el("strong", {}, score)),
    scoreBar({ score: record.probability, points, uncertain: contract.conformal ? [contract.conformal.lower, contract.conformal.upper] : null, label: t.scoreLabel(score, labels) }),
  );
  if (contract.conformal) {
    const { coverage, lower, upper } = contract.conformal;
    box.append(el("p", { class: "quiet" }, `${t.uncertainBand(scoreText(lower), scoreText(upper))}.`));
    if (isUncertain(record)) box.append(el("p", { class: "set" }, t.uncertainMeaning(shareText(coverage))));
  }
  box.append(el("p", { class: "quiet" }, meaningOfScore(contract)), ...subtypes(record, contract));
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
