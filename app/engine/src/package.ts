/** The one-file model: a LiteRT graph with its contract and card, src/pneumoscope/model/packaging.py. */

import { hasText, sha256 } from "./bytes.js";
import { type Contract, parseContract } from "./contract.js";
import { ModelFileError } from "./errors.js";
import { readAppendedZip } from "./zip.js";

export interface ModelPackage {
  readonly graph: Uint8Array;
  readonly contract: Contract;
  /** The model card, Markdown. */
  readonly card: string;
  /** Of the whole file, 64 hex digits. */
  readonly sha256: string;
}

const LONGEST_ENTRY = 4 * 2 ** 20;

/**
 * Take a one-file model apart and check its hash.
 * @throws ModelFileError not a LiteRT file, cut short, changed, or without a contract
 * @throws ContractError the contract inside cannot be honoured
 */
export async function unpack(file: Uint8Array): Promise<ModelPackage> {
  if (hasText(file, "version https://git-lfs")) {
    throw new ModelFileError("is a Git LFS pointer, not the model itself; fetch it with `git lfs pull`");
  }
  if (!hasText(file, "TFL3", 4)) {
    throw new ModelFileError("is not a LiteRT (.tflite) file; give a model that `pneumoscope export` wrote");
  }
  const { start, entries } = readAppendedZip(file);
  const text = (name: string): string | null => {
    const bytes = entries.get(name);
    if (!bytes) return null;
    if (bytes.length > LONGEST_ENTRY) throw new ModelFileError(`${name} inside is larger than 4 MiB`);
    return new TextDecoder().decode(bytes);
  };
  const json = text("contract.json");
  if (json === null) throw new ModelFileError("the archive inside has no contract.json; export the model anew");
  const contract = parseContract(json);
  const graph = file.subarray(0, start);
  if ((await sha256(graph)) !== contract.graphSha256) {
    throw new ModelFileError("the graph is not the one its contract was written for; fetch the file again");
  }
  return { graph, contract, card: text("card.md") ?? "", sha256: await sha256(file) };
}
