/** Hashes and text of bytes. */

/** SHA-256 as 64 hex digits. Needs a secure context (https or localhost), as the service worker does. */
export async function sha256(data: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether `data` has the ASCII text `text` at `offset`. */
export function hasText(data: Uint8Array, text: string, offset = 0): boolean {
  if (offset + text.length > data.length) return false;
  for (let i = 0; i < text.length; i++) if (data[offset + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** First position of the byte sequence `needle` in `data` from `from` up to `until`, or -1. */
export function indexOf(data: Uint8Array, needle: readonly number[], from = 0, until = data.length): number {
  const first = needle[0]!;
  const last = Math.min(until, data.length) - needle.length;
  for (let at = data.indexOf(first, from); at >= 0 && at <= last; at = data.indexOf(first, at + 1)) {
    if (needle.every((byte, i) => data[at + i] === byte)) return at;
  }
  return -1;
}

/** Bytes as Python writes them (`b'...'`), so that messages read alike. */
export function bytesRepr(data: Uint8Array): string {
  const quote = data.includes(39) && !data.includes(34) ? '"' : "'";
  const named: Record<number, string> = { 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" };
  let text = "";
  for (const byte of data) {
    const char = String.fromCharCode(byte);
    if (byte in named) text += named[byte];
    else if (byte < 32 || byte > 126) text += `\\x${byte.toString(16).padStart(2, "0")}`;
    else text += char === quote ? `\\${char}` : char;
  }
  return `b${quote}${text}${quote}`;
}

/**
 * A number as Python's format `.Nf` writes it: exact ties go to the even digit (JavaScript's go up).
 * @param digits at most 3
 */
export function fixed(value: number, digits: number): string {
  const scaled = Math.abs(value) * 10 ** digits;
  const floor = Math.floor(scaled);
  // A tie is exact only if the scaled number is; 0.125 * 100 is, 0.145 * 100 is not a tie in either language.
  const tie = scaled - floor === 0.5 && Number.isInteger(value * 2 ** 10);
  if (!tie) return value.toFixed(digits);
  const even = floor % 2 === 0 ? floor : floor + 1;
  return ((Math.sign(value) * even) / 10 ** digits).toFixed(digits);
}

/** A share as Python's format `.0%` writes it. */
export function percent(share: number): string {
  return `${fixed(share * 100, 0)}%`;
}

/** Round halves to even, as NumPy's `rint` does. */
export function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  return rest > 0.5 || floor % 2 !== 0 ? floor + 1 : floor;
}
