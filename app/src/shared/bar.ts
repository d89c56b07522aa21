/** The score on its scale, with every operating point and the band in which the model does not know. Neutral colours. */

import { svg } from "./dom.js";

export interface BarPoint {
  readonly name: string;
  readonly threshold: number;
  readonly isChosen: boolean;
}

export interface BarInput {
  readonly score: number;
  readonly points: readonly BarPoint[];
  /** Where both answers remain possible, from and to; null where the model makes no such promise. */
  readonly uncertain: readonly [number, number] | null;
  /** What a screen reader says. */
  readonly label: string;
}

const [WIDTH, TOP, HEIGHT] = [400, 22, 14];

/** An SVG of the score; scales with its container. */
export function scoreBar({ score, points, uncertain, label }: BarInput): SVGSVGElement {
  const x = (share: number) => 8 + share * (WIDTH - 16);
  const bar = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} 72`, class: "score-bar", role: "img", "aria-label": label },
    svg("rect", { x: x(0), y: TOP, width: WIDTH - 16, height: HEIGHT, rx: 3, class: "scale" }),
  );
  if (uncertain) {
    const [low, high] = uncertain;
    bar.append(svg("rect", { x: x(low), y: TOP, width: Math.max(0, x(high) - x(low)), height: HEIGHT, class: "band" }));
  }
  let lastLabel = -Infinity;
  for (const point of [...points].sort((a, b) => a.threshold - b.threshold)) {
    const at = x(point.threshold);
    const kind = point.isChosen ? "point chosen" : "point";
    bar.append(svg("line", { x1: at, x2: at, y1: TOP - 5, y2: TOP + HEIGHT + 5, class: kind }));
    if (point.isChosen) {
      const anchor = at < 70 ? "start" : at > WIDTH - 70 ? "end" : "middle";
      bar.append(svg("text", { x: at, y: TOP + HEIGHT + 18, "text-anchor": anchor, class: "label" }, point.name));
      lastLabel = at;
    }
  }
  if (lastLabel > 40) bar.append(svg("text", { x: x(0), y: 68, class: "end" }, "0"));
  if (lastLabel < WIDTH - 40) bar.append(svg("text", { x: x(1), y: 68, "text-anchor": "end", class: "end" }, "1"));
  const at = x(score);
  bar.append(svg("path", { d: `M${at - 8} 4 L${at + 8} 4 L${at} ${TOP} Z`, class: "marker" }));
  bar.append(svg("line", { x1: at, x2: at, y1: TOP, y2: TOP + HEIGHT, class: "marker-line" }));
  return bar;
}

/** A small bar of one share; the text beside it says the same. */
export function shareBar(share: number): SVGSVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "share-bar", "aria-hidden": "true" },
    svg("rect", { width: 100, height: 8, class: "scale" }),
    svg("rect", { width: 100 * share, height: 8, class: "share" }),
  );
}
