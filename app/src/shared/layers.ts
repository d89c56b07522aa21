/** What the viewer draws, as pixels and paths: the radiograph through its window, the heatmap, the lungs' outline. */

import { plasma } from "./plasma.js";

/** Structurally what the engine gives, so that the server's page can hand in its own. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Grey levels, 0 black to 255 white. */
  readonly grey: Uint8Array;
  /** More than 8 bits, where there are. */
  readonly deep: {
    readonly values: Float32Array;
    readonly centre: number;
    readonly width: number;
    readonly inverse: boolean;
  } | null;
}

export interface SmallPlane {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

export interface Window {
  readonly centre: number;
  readonly width: number;
}

/** The window that shows a picture as it was decoded. */
export function startWindow(picture: Picture): Window {
  return picture.deep ? { centre: picture.deep.centre, width: picture.deep.width } : { centre: 127.5, width: 255 };
}

/** RGBA of a picture through a window. */
export function renderWindow(picture: Picture, window: Window | null, invert: boolean): ImageData {
  const out = new ImageData(picture.width, picture.height);
  const words = new Uint32Array(out.data.buffer);
  const opaque = (grey: number) => 0xff000000 | (grey << 16) | (grey << 8) | grey;
  if (!window || !picture.deep) {
    const table = Uint32Array.from({ length: 256 }, (_, level) => {
      const shown = window ? 255 * ((level - window.centre) / Math.max(window.width, 1e-6) + 0.5) : level;
      const grey = Math.round(Math.min(255, Math.max(0, shown)));
      return opaque(invert ? 255 - grey : grey);
    });
    for (let i = 0; i < words.length; i++) words[i] = table[picture.grey[i]!]!;
    return out;
  }
  const { values, inverse } = picture.deep;
  const low = window.centre - window.width / 2;
  const factor = 255 / Math.max(window.width, 1e-6);
  const flip = inverse !== invert;
  for (let i = 0; i < words.length; i++) {
    const grey = Math.min(255, Math.max(0, (values[i]! - low) * factor));
    words[i] = opaque(flip ? 255 - Math.round(grey) : Math.round(grey));
  }
  return out;
}

const HEAT_SIDE = 256;

/** The heatmap as RGBA of 256 x 256, bilinear; its opacity falls with the heat, so cold regions stay plain. */
export function renderHeat(heat: SmallPlane): ImageData {
  const out = new ImageData(HEAT_SIDE, HEAT_SIDE);
  for (let y = 0; y < HEAT_SIDE; y++) {
    for (let x = 0; x < HEAT_SIDE; x++) {
      const value = sample(heat, ((x + 0.5) / HEAT_SIDE) * heat.width - 0.5, ((y + 0.5) / HEAT_SIDE) * heat.height - 0.5);
      const at = (y * HEAT_SIDE + x) * 4;
      const [r, g, b] = plasma(value);
      out.data.set([r, g, b, 255 * Math.min(1, Math.max(0, value))], at);
    }
  }
  return out;
}

function sample({ width, height, data }: SmallPlane, x: number, y: number): number {
  const [u, v] = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
  const [x0, y0] = [Math.floor(u), Math.floor(v)];
  const [x1, y1] = [Math.min(x0 + 1, width - 1), Math.min(y0 + 1, height - 1)];
  const [fx, fy] = [u - x0, v - y0];
  const top = data[y0 * width + x0]! * (1 - fx) + data[y0 * width + x1]! * fx;
  const bottom = data[y1 * width + x0]! * (1 - fx) + data[y1 * width + x1]! * fx;
  return top * (1 - fy) + bottom * fy;
}

/** Line segments, as shares of width and height, where a plane crosses one half (marching squares). */
export function outline(plane: SmallPlane, level = 0.5): [number, number, number, number][] {
  const { width, height, data } = plane;
  const segments: [number, number, number, number][] = [];
  // A frame of zeros around the plane closes outlines at its border.
  const at = (x: number, y: number) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : data[y * width + x]!);
  const cut = (a: number, b: number) => (a === b ? 0.5 : (level - a) / (b - a));
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
      const crossings: [number, number][] = [];
      if (a >= level !== b >= level) crossings.push([x + cut(a, b), y]);
      if (b >= level !== c >= level) crossings.push([x + 1, y + cut(b, c)]);
      if (d >= level !== c >= level) crossings.push([x + cut(d, c), y + 1]);
      if (a >= level !== d >= level) crossings.push([x, y + cut(a, d)]);
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        const [[x0, y0], [x1, y1]] = [crossings[i]!, crossings[i + 1]!];
        segments.push([(x0 + 0.5) / width, (y0 + 0.5) / height, (x1 + 0.5) / width, (y1 + 0.5) / height]);
      }
    }
  }
  return segments;
}

/** The outline of a box given as shares of width and height. */
export function boxOutline([x0, y0, x1, y1]: readonly number[]): [number, number, number, number][] {
  return [[x0!, y0!, x1!, y0!], [x1!, y0!, x1!, y1!], [x1!, y1!, x0!, y1!], [x0!, y1!, x0!, y0!]];
}
