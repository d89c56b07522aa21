/** A picture from the camera. The stream never leaves the page, and stops with the dialog. */

import { byId, el } from "./shared/dom.js";
import { texts as t } from "./texts.js";

/**
 * Open the camera in a dialog.
 * @returns the picture, or null where the user closed it
 * @throws Error in words, where there is no camera or it was refused
 */
export async function takePicture(): Promise<File | null> {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(t.cameraMissing);
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 2560 } }, audio: false });
  } catch (error) {
    const refused = error instanceof DOMException && ["NotAllowedError", "SecurityError"].includes(error.name);
    throw new Error(refused ? t.cameraRefused : t.cameraMissing);
  }
  const dialog = byId<HTMLDialogElement>("camera");
  const video = el("video", { autoplay: true, playsinline: true, muted: true });
  video.srcObject = stream;
  try {
    return await new Promise<File | null>((resolve) => {
      const shoot = () => void frameOf(video).then(resolve);
      dialog.replaceChildren(
        el("h2", { id: "camera-title" }, t.cameraTitle),
        video,
        el(
          "div",
          { class: "buttons" },
          el("button", { type: "button", class: "button primary", onclick: shoot }, t.cameraShoot),
          el("button", { type: "button", class: "button", onclick: () => resolve(null) }, t.cameraCancel),
        ),
      );
      dialog.addEventListener("close", () => resolve(null), { once: true });
      dialog.showModal();
    });
  } finally {
    for (const track of stream.getTracks()) track.stop();
    dialog.close();
    dialog.replaceChildren();
  }
}

async function frameOf(video: HTMLVideoElement): Promise<File | null> {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  return blob && new File([blob], `${t.cameraName}.png`, { type: "image/png" });
}
