/** Names of SOP classes and transfer syntaxes, as pydicom's dictionary has them; Python writes `names.json`. */

import names from "./names.json" with { type: "json" };

const NAMES: Record<string, string> = names;

export const uidName = (uid: string): string => NAMES[uid] ?? uid;
