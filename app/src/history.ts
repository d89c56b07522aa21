/** Results that stay on the device, where the user asks for it: records only, never a picture. */

import type { PredictionRecord } from "@pneumoscope/engine";

export interface Kept {
  readonly key: number;
  readonly when: string;
  readonly record: PredictionRecord;
}

const [DATABASE, STORE, SWITCH] = ["pneumoscope", "records", "pneumoscope-keep-history"];

export class StorageError extends Error {
  readonly isFull: boolean;

  constructor(cause: unknown) {
    super(String(cause), { cause });
    this.isFull = cause instanceof DOMException && cause.name === "QuotaExceededError";
  }
}

function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.addEventListener("success", () => resolve(asked.result));
    asked.addEventListener("error", () => reject(new StorageError(asked.error)));
  });
}

async function open(): Promise<IDBDatabase> {
  try {
    const asked = indexedDB.open(DATABASE, 1);
    asked.addEventListener("upgradeneeded", () => asked.result.createObjectStore(STORE, { keyPath: "key", autoIncrement: true }));
    return await request(asked);
  } catch (error) {
    throw error instanceof StorageError ? error : new StorageError(error);
  }
}

/** Run one transaction and wait until it is on disk. */
async function within<T>(mode: IDBTransactionMode, use: (store: IDBObjectStore) => Promise<T>): Promise<T> {
  const database = await open();
  try {
    const transaction = database.transaction(STORE, mode);
    const done = new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () => reject(new StorageError(transaction.error)));
    });
    done.catch(() => undefined); // awaited below, unless `use` fails first
    const value = await use(transaction.objectStore(STORE));
    await done;
    return value;
  } catch (error) {
    throw error instanceof StorageError ? error : new StorageError(error);
  } finally {
    database.close();
  }
}

/** Whether the user has asked to keep results. Off until then. */
export function isKeeping(): boolean {
  try {
    return localStorage.getItem(SWITCH) === "yes";
  } catch {
    return false; // a browser that keeps nothing
  }
}

/** @throws StorageError the browser keeps nothing */
export function setKeeping(isOn: boolean): void {
  try {
    if (isOn) localStorage.setItem(SWITCH, "yes");
    else localStorage.removeItem(SWITCH);
  } catch (error) {
    throw new StorageError(error);
  }
}

/** @throws StorageError no room left, or the browser keeps nothing */
export async function keep(record: PredictionRecord, when: Date): Promise<void> {
  await within("readwrite", (store) => request(store.add({ when: when.toISOString(), record })));
}

/** Newest first. */
export async function allKept(): Promise<Kept[]> {
  const kept = await within("readonly", (store) => request(store.getAll() as IDBRequest<Kept[]>));
  return kept.reverse();
}

export async function forget(key: number): Promise<void> {
  await within("readwrite", (store) => request(store.delete(key)));
}

export async function forgetAll(): Promise<void> {
  await within("readwrite", (store) => request(store.clear()));
}
