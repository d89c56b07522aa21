/** The contract of a model: src/pneumoscope/model/contract.py, as far as a client needs it. */

import { ContractError } from "./errors.js";
import limits from "./limits.json" with { type: "json" };

export const { CONTRACT_VERSION, RESEARCH_USE_ONLY } = limits.contract;

/** A threshold on P(pneumonia) and what it reached on the data it was chosen on. */
export interface OperatingPoint {
  readonly threshold: number;
  readonly sensitivity: number;
  readonly specificity: number;
  /** 95 % intervals of both; null in models of contract version 1. */
  readonly ci95: { readonly sensitivity: Interval; readonly specificity: Interval } | null;
}

export type Interval = readonly [number, number];

/** The scores at which both labels stay open, and the share of each class that is promised to be in its set. */
export interface ConformalBand {
  readonly coverage: number;
  readonly lower: number;
  readonly upper: number;
}

/** When a mask of lungs is enough, and when lungs are cut off (src/pneumoscope/model/lung_field.py). */
export interface LungField {
  /** P(lung) from which a cell is surely lung. */
  readonly sure: number;
  /** Share of the picture that must surely be lung. */
  readonly leastShare: number;
  /** Share of one edge that may be lung. */
  readonly edgeShare: number;
}

/** Whom a model was trained on; `ages` in whole years, first and last included, empty where unknown. */
export interface Population {
  readonly description: string;
  readonly ages: readonly Interval[];
}

export interface Contract {
  readonly name: string;
  readonly version: string;
  readonly graphSha256: string;
  readonly quantization: string;
  readonly inputWidth: number;
  readonly inputHeight: number;
  /** `labels[1]` is what `probability` is the probability of. */
  readonly labels: readonly [string, string];
  readonly subtypes: readonly string[];
  readonly operatingPoints: Readonly<Record<string, OperatingPoint>>;
  readonly defaultOperatingPoint: string;
  readonly typicalityLimit: number;
  readonly intendedUse: string;
  readonly parameters: number;
  /** Null where the model makes no such promise. */
  readonly conformal: ConformalBand | null;
  /** How lungs are looked for; null in a model that judges the whole picture. */
  readonly lungField: LungField | null;
  /** Share of pneumonia that probabilities refer to; null where the model does not say (version 1). */
  readonly prevalence: number | null;
  readonly population: Population | null;
  /** As it stands in the file, for what only some clients need. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/**
 * Read and check a contract.
 * @throws ContractError not JSON, from a newer version, or with impossible values
 */
export function parseContract(text: string): Contract {
  const raw = parseObject(text);
  const version = raw.contract_version;
  if (!Number.isInteger(version) || (version as number) < 1) {
    throw new ContractError(`contract version ${String(version)} is not a number from 1 on`);
  }
  if ((version as number) > CONTRACT_VERSION) {
    throw new ContractError(
      `contract version ${String(version)}: this Pneumoscope reads up to ${CONTRACT_VERSION}; install a newer one`,
    );
  }
  const unknown = Object.keys(raw).filter((key) => !limits.contract.FIELDS.includes(key));
  if (unknown.length > 0) {
    throw new ContractError(`contract.json: unknown keys ${unknown.sort().join(", ")} in Contract`);
  }
  const labels = strings(raw, "labels", ["NORMAL", "PNEUMONIA"]);
  const subtypes = strings(raw, "subtypes", []);
  if (labels.length !== 2 || ![0, 3].includes(subtypes.length)) {
    throw new ContractError("two labels and either no subtypes or three are needed");
  }
  const points = operatingPoints(raw.operating_points);
  const standard = string(raw, "default_operating_point");
  if (!Object.hasOwn(points, standard)) {
    throw new ContractError(`default operating point '${standard}' is not among those listed`);
  }
  if (raw.resize_filter !== limits.contract.RESIZE_FILTER) {
    throw new ContractError(`contract.json: '${String(raw.resize_filter)}' is not a valid ResizeFilter`);
  }
  const conformal = conformalBand(raw.conformal);
  const stated = (raw.calibration as { prevalence?: unknown } | null | undefined)?.prevalence;
  const prevalence = stated === undefined ? null : share(stated, "calibration: prevalence");
  if ((version as number) > 1) checkCalibrated(points, standard, prevalence, conformal);
  return {
    name: string(raw, "name"),
    version: string(raw, "version"),
    graphSha256: string(raw, "graph_sha256"),
    quantization: string(raw, "quantization"),
    inputWidth: size(raw, "input_width"),
    inputHeight: size(raw, "input_height"),
    labels: labels as [string, string],
    subtypes,
    operatingPoints: points,
    defaultOperatingPoint: standard,
    typicalityLimit: share(raw.typicality_limit, "typicality limit"),
    intendedUse: typeof raw.intended_use === "string" ? raw.intended_use : RESEARCH_USE_ONLY,
    parameters: typeof raw.parameters === "number" ? raw.parameters : 0,
    conformal,
    lungField: lungField(raw.lung_field),
    prevalence,
    population: population(raw),
    raw,
  };
}

const BALANCED = 0.5;

/** From version 2 on: a label never stands beside a number on the other side of its threshold. */
function checkCalibrated(points: Record<string, OperatingPoint>, standard: string, prevalence: number | null, band: ConformalBand | null): void {
  const { threshold } = points[standard]!;
  if (threshold !== BALANCED) {
    throw new ContractError(
      `default operating point '${standard}' is at ${threshold}; from contract version 2 on it must be at ${BALANCED}, ` +
        "so that a label never stands beside a number on the other side of it",
    );
  }
  if (prevalence !== BALANCED) {
    throw new ContractError("from contract version 2 on, probabilities must be calibrated at a prevalence of 0.5");
  }
  if (band && !(band.lower <= BALANCED && BALANCED <= band.upper)) {
    throw new ContractError(`the band in which the model does not know must hold the default threshold ${BALANCED}`);
  }
}

function conformalBand(value: unknown): ConformalBand | null {
  if (value === undefined || value === null) return null;
  const band = value as Record<string, unknown>;
  const [lower, upper] = interval([band.lower, band.upper], "conformal: band");
  return { coverage: share(band.coverage, "conformal: coverage"), lower, upper };
}

function lungField(value: unknown): LungField | null {
  if (value === undefined || value === null) return null;
  const { sure, least_share, edge_share } = { ...limits.contract.LUNG_FIELD, ...(value as Record<string, unknown>) };
  return {
    sure: share(sure, "lung field: sure"),
    leastShare: share(least_share, "lung field: least_share"),
    edgeShare: share(edge_share, "lung field: edge_share"),
  };
}

function population(raw: Record<string, unknown>): Population | null {
  const stated = raw.population as { description?: unknown; ages?: unknown } | null | undefined;
  if (stated) {
    const ages = Array.isArray(stated.ages) ? stated.ages.map((pair) => [Number(pair[0]), Number(pair[1])] as const) : [];
    return { description: String(stated.description), ages };
  }
  // How contracts said it before they had a field for it.
  const former = limits.contract.FORMERLY;
  return String(raw.intended_use ?? "").includes(former) ? { description: former, ages: [[1, 5]] } : null;
}

function interval(value: unknown, what: string): Interval {
  if (!Array.isArray(value) || value.length !== 2) throw new ContractError(`${what} is ${String(value)}, must be two numbers`);
  const [low, high] = [share(value[0], what), share(value[1], what)];
  if (low > high) throw new ContractError(`${what} is ${String(value)}, must not fall`);
  return [low, high];
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ContractError(`contract.json is not JSON (${String(error)})`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ContractError("contract.json is not an object");
  }
  return value as Record<string, unknown>;
}

function operatingPoints(value: unknown): Record<string, OperatingPoint> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ContractError("contract.json: operating_points is not an object");
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, point]: [string, Record<string, unknown>]) => [
      name,
      {
        threshold: share(point?.threshold, "operating point: threshold"),
        sensitivity: share(point?.sensitivity, "operating point: sensitivity"),
        specificity: share(point?.specificity, "operating point: specificity"),
        ci95: intervals(point?.ci95),
      },
    ]),
  );
}

function intervals(value: unknown): OperatingPoint["ci95"] {
  if (value === undefined || value === null) return null;
  const { sensitivity, specificity } = value as Record<string, unknown>;
  return {
    sensitivity: interval(sensitivity, "operating point: interval of sensitivity"),
    specificity: interval(specificity, "operating point: interval of specificity"),
  };
}

function share(value: unknown, what: string): number {
  if (typeof value === "number" && value >= 0 && value <= 1) return value;
  throw new ContractError(`${what} is ${String(value)}, must be 0 to 1`);
}

function string(raw: Record<string, unknown>, key: string): string {
  const value = raw[key];
  if (typeof value === "string") return value;
  throw new ContractError(`contract.json: ${key} is missing`);
}

function strings(raw: Record<string, unknown>, key: string, standard: string[]): string[] {
  const value = raw[key] ?? standard;
  if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return value;
  throw new ContractError(`contract.json: ${key} is not a list of names`);
}

function size(raw: Record<string, unknown>, key: string): number {
  const value = raw[key] ?? 224;
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 4096) return value as number;
  throw new ContractError(`input size ${String(value)} is not between 1 and 4096 pixels`);
}
