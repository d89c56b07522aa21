/** What a score means for a record: its label, the answers that stay open, the notes. */

import { fixed, percent } from "./bytes.js";
import type { Contract, LungField } from "./contract.js";
import type { GreyImage } from "./image.js";
import { type PredictionRecord, rounded } from "./record.js";
import type { Plane } from "./runtime.js";

/** The label at an operating point. */
export function labelOf(probability: number, contract: Contract, operatingPoint: string): string {
  return contract.labels[probability >= contract.operatingPoints[operatingPoint]!.threshold ? 1 : 0];
}

/**
 * Labels that the promised coverage leaves open, the given one always among them; null without a promise
 * (src/pneumoscope/model/operating_point.py).
 */
export function predictionSet(probability: number, contract: Contract, given: string): string[] | null {
  const band = contract.conformal;
  if (!band) return null;
  const [negative, positive] = contract.labels;
  const open: Record<string, boolean> = { [negative]: probability <= band.upper, [positive]: probability >= band.lower };
  return contract.labels.filter((label) => open[label] || label === given);
}

/** What the file says, held against whom the model knows (src/pneumoscope/model/notes.py). */
export function notesOn(image: GreyImage, { population }: Contract): readonly string[] {
  const age = image.ageYears;
  if (age === null || !population || population.ages.length === 0) return image.notes;
  const years = Math.trunc(age);
  if (population.ages.some(([first, last]) => first <= years && years <= last)) return image.notes;
  const text = age >= 2 ? fixed(age, 0) : fixed(age, 1);
  return [...image.notes, `its header says age ${text}; the model knows ${population.description}`];
}

/** Another operating point for a record that was judged: nothing is computed anew, and no picture is read again. */
export function relabel(record: PredictionRecord, contract: Contract, operatingPoint: string): PredictionRecord {
  const point = contract.operatingPoints[operatingPoint];
  if (!point) return record;
  const changed = { ...record, operating_point: operatingPoint, threshold: rounded(point.threshold) };
  if (record.probability === null) return changed;
  const label = labelOf(record.probability, contract, operatingPoint);
  return { ...changed, label, prediction_set: predictionSet(record.probability, contract, label) };
}

/** Why a picture with this mask is not judged; empty where lungs were found. */
export function withoutLungs(lungs: Plane | null, field: LungField | null): string[] {
  if (!lungs || !field) return [];
  const share = lungs.data.filter((value) => value > field.sure).length / lungs.data.length;
  if (share >= field.leastShare) return [];
  return [
    `no lung fields found: ${fixed(100 * share, 1)}% of the picture is surely lung, ` +
      `at least ${percent(field.leastShare)} needed; give a frontal chest radiograph`,
  ];
}

const LUNG = 0.5; // P(lung) from which a cell counts where lungs may be cut off

/** The note where lungs reach an edge of the picture. */
export function lungNotes(lungs: Plane | null, field: LungField | null): string[] {
  if (!lungs || !field) return [];
  const { width, height, data } = lungs;
  const shareOf = (length: number, at: (i: number) => number): number => {
    let count = 0;
    for (let i = 0; i < length; i++) if (data[at(i)]! > LUNG) count++;
    return count / length;
  };
  const edges = {
    upper: shareOf(width, (i) => i),
    lower: shareOf(width, (i) => (height - 1) * width + i),
    left: shareOf(height, (i) => i * width),
    right: shareOf(height, (i) => i * width + width - 1),
  };
  const cut = Object.entries(edges).flatMap(([name, share]) => (share > field.edgeShare ? [name] : []));
  if (cut.length === 0) return [];
  const sides = `${cut.join(" and ")} edge${cut.length > 1 ? "s" : ""}`;
  return [`lungs reach the ${sides} of the picture: a part of them may be cut off`];
}
