/** Files out of what a user drops, pastes or chooses. */

export interface NamedFile {
  readonly file: File;
  /** With its folder, where it came in one. */
  readonly name: string;
}

/** Names that systems leave behind in folders, and endings that are certainly no picture. */
const LEFT_BEHIND = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$|DICOMDIR$)/i;
const NO_PICTURE = /\.(txt|csv|json|md|pdf|html?|docx?|xlsx?|zip|xml|log|py|js|mp4|mov|tflite)$/i;

/** Leave out of a folder what is certainly no picture; files chosen one by one are all tried, so that each is answered. */
export function sift(found: readonly NamedFile[]): { kept: NamedFile[]; skipped: number } {
  const kept = found.filter(({ name }) => !LEFT_BEHIND.test(name) && !NO_PICTURE.test(name));
  return { kept, skipped: found.length - kept.length };
}

export function fromList(list: FileList | null): NamedFile[] {
  return Array.from(list ?? [], (file) => ({ file, name: file.webkitRelativePath || file.name }));
}

/** All files of a drop, folders included. The entries must be taken before the first await. */
export async function fromDrop(transfer: DataTransfer): Promise<{ files: NamedFile[]; hadFolder: boolean }> {
  const entries = Array.from(transfer.items, (item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const plain = fromList(transfer.files);
  const known = entries.filter((entry) => entry !== null);
  if (known.length === 0) return { files: plain, hadFolder: false };
  const files: NamedFile[] = [];
  for (const entry of known) files.push(...(await walk(entry)));
  return { files, hadFolder: known.some((entry) => entry.isDirectory) };
}

async function walk(entry: FileSystemEntry): Promise<NamedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File | null>((resolve) => (entry as FileSystemFileEntry).file(resolve, () => resolve(null)));
    return file ? [{ file, name: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: NamedFile[] = [];
  for (;;) {
    // A reader gives some hundred entries at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (some.length === 0) return found;
    for (const inner of some) found.push(...(await walk(inner)));
  }
}

/** Offer bytes as a download. */
export function save(name: string, content: string, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A row of CSV; text that a spreadsheet would run as a formula is made harmless. */
export function csvRow(values: readonly (string | number | null)[]): string {
  const cell = (value: string | number | null) => {
    let text = value === null ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${values.map(cell).join(",")}\r\n`;
}
