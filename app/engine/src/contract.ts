/** The contract of a model: src/pneumoscope/model/contract.py, as far as a client needs it. */

import { ContractError } from "./errors.js";
import limits from "./limits.json" with { type: "json" };

export const { CONTRACT_VERSION, RESEARCH_USE_ONLY } = limits.contract;

/** A threshold on P(pneumonia) and what it reached on the data it was chosen on. */
export interface OperatingPoint {
  readonly threshold: number;
  readonly sensitivity: number;
  readonly specificity: number;
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
  /** Scores between which both answers remain possible at the coverage promised; null without such a promise. */
  readonly uncertain: readonly [number, number] | null;
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
    uncertain: null,
    raw,
  };
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
      },
    ]),
  );
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
