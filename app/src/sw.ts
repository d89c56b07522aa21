/**
 * The service worker: keeps one version of the page whole, and serves only that version.
 *
 * A version is the hash over all files. Its cache is filled and checked before the worker counts as installed; an open
 * page goes on with the version it began with until the user takes the new one or closes it.
 */

export {};

declare const self: ServiceWorkerGlobalScope;

/** Filled in by the build: each file with its SHA-256, and the hash over them all. */
declare const __PRECACHE__: { version: string; files: Record<string, string> };

const PREFIX = "pneumoscope-";
const { version, files } = __PRECACHE__;
const CACHE = PREFIX + version;

async function fetchChecked(name: string, sha256: string): Promise<Response> {
  // Names with a hash never change; the others must not come from an older cache.
  const cache = name.startsWith("assets/") ? "default" : "no-cache";
  const response = await fetch(new URL(name, self.registration.scope), { cache, integrity: `sha256-${sha256}` });
  if (!response.ok) throw new Error(`${name} answered ${response.status}`);
  return response;
}

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  try {
    for (const [name, sha256] of Object.entries(files)) {
      await cache.put(new URL(name, self.registration.scope).href, await fetchChecked(name, sha256));
    }
  } catch (error) {
    await caches.delete(CACHE); // half a version is none
    throw error;
  }
}

async function dropOldVersions(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function respond(request: Request): Promise<Response> {
  const url = new URL(request.url);
  const page = new URL("index.html", self.registration.scope).href;
  const wanted = request.mode === "navigate" ? page : url.origin + url.pathname;
  const cache = await caches.open(CACHE);
  return (await cache.match(wanted)) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(dropOldVersions()));
self.addEventListener("message", (event) => {
  if (event.data === "take over") void self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) event.respondWith(respond(request));
});
