/** Another operating point for a record that was judged: nothing is computed anew, and no picture is read again. */

import type { Contract } from "./contract.js";
import { type PredictionRecord, rounded } from "./record.js";

export function relabel(record: PredictionRecord, contract: Contract, operatingPoint: string): PredictionRecord {
  const point = contract.operatingPoints[operatingPoint];
  if (!point) return record;
  const changed = { ...record, operating_point: operatingPoint, threshold: rounded(point.threshold) };
  if (record.probability === null) return changed;
  return { ...changed, label: contract.labels[record.probability >= point.threshold ? 1 : 0] };
}
