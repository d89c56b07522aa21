/**
 * A viewer of one radiograph on a canvas: zoom, pan, window and level, invert, heatmap and lung outline.
 *
 * By pointer (drag, wheel, pinch; Shift or the right button for window and level) and by keyboard.
 */

import { boxOutline, outline, type Picture, renderHeat, renderWindow, type SmallPlane, startWindow, type Window } from "./layers.js";

export interface Layers {
  readonly heat: SmallPlane | null;
  readonly lungs: SmallPlane | null;
  /** Shares of width and height, drawn where there is no mask. */
  readonly lungBox: readonly number[] | null;
}

export interface ViewState {
  readonly zoom: number;
  readonly window: Window;
  readonly invert: boolean;
  readonly showHeat: boolean;
  readonly showLungs: boolean;
  readonly opacity: number;
}

const MAX_ZOOM = 16;
const STEP = 1.25;

export class Viewer {
  readonly canvas: HTMLCanvasElement;
  /** Called after every change, for the toolbar. */
  onChange: ((state: ViewState) => void) | null = null;

  #picture: Picture | null = null;
  #image: HTMLCanvasElement | null = null;
  #heat: HTMLCanvasElement | null = null;
  #outline: readonly [number, number, number, number][] = [];
  #zoom = 1;
  #centre: [number, number] = [0.5, 0.5];
  #window: Window = { centre: 127.5, width: 255 };
  #isWindowed = false;
  #invert = false;
  #showHeat = true;
  #showLungs = false;
  #opacity = 0.65;
  #pointers = new Map<number, [number, number]>();
  #queued = false;

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
    canvas.addEventListener("keydown", (event) => this.#onKey(event));
    canvas.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#onPointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.#onPointerMove(event));
    for (const name of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  get state(): ViewState {
    return {
      zoom: this.#zoom,
      window: this.#window,
      invert: this.#invert,
      showHeat: this.#showHeat,
      showLungs: this.#showLungs,
      opacity: this.#opacity,
    };
  }

  get hasPicture(): boolean {
    return this.#picture !== null;
  }

  /** Show another picture, or none. */
  show(picture: Picture | null, layers: Layers): void {
    this.#picture = picture;
    this.#heat = layers.heat ? toCanvas(renderHeat(layers.heat)) : null;
    this.#outline = layers.lungs ? outline(layers.lungs) : layers.lungBox ? boxOutline(layers.lungBox) : [];
    this.#invert = false;
    this.reset();
  }

  /** Fit the picture and go back to the window that it came with. */
  reset(): void {
    if (this.#picture) this.#window = startWindow(this.#picture);
    this.#isWindowed = false;
    this.fit();
    this.#renderImage();
  }

  fit(): void {
    this.#zoom = 1;
    this.#centre = [0.5, 0.5];
    this.#changed();
  }

  zoomBy(factor: number, at: [number, number] = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]): void {
    const before = this.#toShare(at);
    this.#zoom = Math.min(MAX_ZOOM, Math.max(1, this.#zoom * factor));
    const after = this.#toShare(at);
    this.#moveCentre(before[0] - after[0], before[1] - after[1]);
  }

  setWindow(window: Window): void {
    const least = this.#picture?.deep ? this.#picture.deep.width / 1000 : 1;
    this.#window = { centre: window.centre, width: Math.max(least, window.width) };
    this.#isWindowed = true;
    this.#renderImage();
  }

  toggle(what: "invert" | "heat" | "lungs"): void {
    if (what === "invert") {
      this.#invert = !this.#invert;
      this.#renderImage();
    } else if (what === "heat") this.#showHeat = !this.#showHeat;
    else this.#showLungs = !this.#showLungs;
    this.#changed();
  }

  setOpacity(opacity: number): void {
    this.#opacity = opacity;
    this.#changed();
  }

  /** The picture with or without its heatmap at its own proportions, for a report. */
  snapshot(side: number, withHeat: boolean): HTMLCanvasElement | null {
    if (!this.#picture || !this.#image) return null;
    const scale = side / Math.max(this.#picture.width, this.#picture.height);
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(this.#picture.width * scale));
    canvas.height = Math.max(1, Math.round(this.#picture.height * scale));
    const context = canvas.getContext("2d")!;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#image, 0, 0, canvas.width, canvas.height);
    if (withHeat && this.#heat) {
      context.globalAlpha = 0.65;
      context.drawImage(this.#heat, 0, 0, canvas.width, canvas.height);
    }
    return canvas;
  }

  #renderImage(): void {
    const picture = this.#picture;
    this.#image = picture ? toCanvas(renderWindow(picture, this.#isWindowed ? this.#window : null, this.#invert)) : null;
    this.#changed();
  }

  #changed(): void {
    this.onChange?.(this.state);
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#draw();
    });
  }

  /** Where the whole picture lies on the canvas, in CSS pixels. */
  #frame(): { x: number; y: number; width: number; height: number } {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const { width, height } = this.#picture ?? { width: 1, height: 1 };
    const scale = Math.min(w / width, h / height) * this.#zoom;
    return {
      x: w / 2 - this.#centre[0] * width * scale,
      y: h / 2 - this.#centre[1] * height * scale,
      width: width * scale,
      height: height * scale,
    };
  }

  #toShare([x, y]: [number, number]): [number, number] {
    const frame = this.#frame();
    return [(x - frame.x) / frame.width, (y - frame.y) / frame.height];
  }

  #moveCentre(dx: number, dy: number): void {
    const clamp = (value: number) => Math.min(1, Math.max(0, value));
    this.#centre = this.#zoom === 1 ? [0.5, 0.5] : [clamp(this.#centre[0] + dx), clamp(this.#centre[1] + dy)];
    this.#changed();
  }

  #draw(): void {
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    if (!context || !this.#image) return;
    context.scale(ratio, ratio);
    const { x, y, width, height } = this.#frame();
    // Enlarged pixels are shown as they are, so that nobody takes smoothing for a finding.
    context.imageSmoothingEnabled = width < 3 * this.#image.width;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#image, x, y, width, height);
    context.imageSmoothingEnabled = true;
    if (this.#heat && this.#showHeat) {
      context.globalAlpha = this.#opacity;
      context.drawImage(this.#heat, x, y, width, height);
    }
    if (this.#showLungs) this.#drawOutline(context, x, y, width, height);
  }

  #drawOutline(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number): void {
    context.beginPath();
    for (const [x0, y0, x1, y1] of this.#outline) {
      context.moveTo(x + x0 * width, y + y0 * height);
      context.lineTo(x + x1 * width, y + y1 * height);
    }
    context.lineCap = "round";
    context.globalAlpha = Math.max(0.3, this.#opacity);
    // Dark under light: seen on black and on white.
    for (const [colour, wide] of [["#000000", 4], ["#7fe3ff", 2]] as const) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.stroke();
    }
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.1 / this.#zoom;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.#moveCentre(-step, 0),
      ArrowRight: () => this.#moveCentre(step, 0),
      ArrowUp: () => this.#moveCentre(0, -step),
      ArrowDown: () => this.#moveCentre(0, step),
      "+": () => this.zoomBy(STEP),
      "=": () => this.zoomBy(STEP),
      "-": () => this.zoomBy(1 / STEP),
      "0": () => this.fit(),
      i: () => this.toggle("invert"),
      h: () => this.toggle("heat"),
      l: () => this.toggle("lungs"),
    };
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #onWheel(event: WheelEvent): void {
    // A page must stay scrollable: the wheel zooms where the reader has gone into the picture.
    if (document.activeElement !== this.canvas && !event.ctrlKey) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? STEP : 1 / STEP, [event.offsetX, event.offsetY]);
  }

  #onPointerDown(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  }

  #onPointerMove(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now: [number, number] = [event.offsetX, event.offsetY];
    this.#pointers.set(event.pointerId, now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const length = (point: [number, number]) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      this.zoomBy(length(now) / Math.max(1, length(before)), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (event.shiftKey || event.buttons === 2) {
      const unit = (this.#picture ? startWindow(this.#picture).width : 255) / 400;
      this.setWindow({ centre: this.#window.centre - dy * unit, width: this.#window.width + dx * unit });
    } else {
      const frame = this.#frame();
      this.#moveCentre(-dx / frame.width, -dy / frame.height);
    }
  }
}

function toCanvas(data: ImageData): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [data.width, data.height];
  canvas.getContext("2d")!.putImageData(data, 0, 0);
  return canvas;
}
