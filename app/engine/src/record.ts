/** The record of one input: the JSON object that every interface of Pneumoscope gives. */

export type Status = "ok" | "refused" | "error";

export interface ModelInfo {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

export interface PredictionRecord {
  readonly path: string;
  readonly sha256: string | null;
  readonly status: Status;
  readonly label: string | null;
  readonly probability: number | null;
  readonly threshold: number;
  readonly operating_point: string;
  readonly subtype: Readonly<Record<string, number>> | null;
  readonly typicality: number | null;
  readonly reasons: readonly string[];
  readonly notes: readonly string[];
  readonly heatmap: null;
  readonly prediction_set: readonly string[] | null;
  readonly lungs: { readonly box: readonly number[] } | null;
  readonly model: ModelInfo;
}

/** Six decimals: more than any model is worth, and the same text on every machine. */
export function rounded(value: number): number {
  return Number(value.toFixed(6));
}
