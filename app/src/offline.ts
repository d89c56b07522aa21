/** Registers the service worker that keeps the page, and offers an update without ever mixing two versions. */

import { byId, el } from "./shared/dom.js";
import { texts as t } from "./texts.js";

/** Only the built page has a service worker; a development server would fight with it. */
export async function keepOffline(): Promise<void> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const status = byId("offline");
  let registration: ServiceWorkerRegistration;
  try {
    registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
  } catch {
    return; // plain http elsewhere than on localhost: the page works, online only
  }
  const offer = (worker: ServiceWorker) => {
    const update = () => {
      // The new worker takes over, then the page loads anew: all of it from the new version.
      navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
      worker.postMessage("take over");
    };
    status.replaceChildren(t.updateReady, " ", el("button", { type: "button", class: "button small", onclick: update }, t.updateNow));
  };
  const watch = (worker: ServiceWorker | null) =>
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker);
      else if (worker.state === "activated") status.textContent = t.offlineReady;
      else if (worker.state === "redundant" && !registration.active) status.textContent = t.offlineFailed;
    });
  watch(registration.installing);
  registration.addEventListener("updatefound", () => watch(registration.installing));
  if (registration.waiting && navigator.serviceWorker.controller) offer(registration.waiting);
  else if (registration.active) status.textContent = t.offlineReady;
}
