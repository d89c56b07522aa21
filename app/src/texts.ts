/**
 * Every sentence of the page, in one place for translators.
 *
 * How an answer is worded comes from Python's wording.json, which every interface shares; reasons and notes come from the
 * engine, in Python's words too.
 */

import words from "../../src/pneumoscope/model/wording.json" with { type: "json" };

/** A template of wording.json with its fields filled in. */
const say = (template: string, fields: Record<string, string> = {}): string =>
  template.replace(/\{(\w+)\}/g, (_, name: string) => fields[name] ?? "");
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const plural = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

export const texts = {
  title: "Pneumoscope on your device",
  research: words.research_use_only,
  lead: "Reads a chest radiograph on this device. Nothing is uploaded: the page has no server to send it to.",
  skip: "Skip to content",

  drop: "Drop radiographs or a folder here",
  dropHint: "or paste a picture. JPEG, PNG, WebP, BMP, GIF or DICOM, several at once.",
  chooseFiles: "Choose files",
  chooseFolder: "Choose a folder",
  takePicture: "Take a picture",
  noFiles: "There was no picture in what was dropped.",
  skipped: (n: number) => `${plural(n, "file that is no picture was", "files that are no pictures were")} left out.`,
  pastedName: "pasted picture",
  cameraName: "picture from the camera",

  loading: "Getting ready",
  loadingPart: { engine: "Loading the engine", model: "Loading the model", start: "Starting" },
  loadedBytes: (done: string, all: string) => `${done} of ${all}`,
  megabytes: (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`,
  ready: (name: string, version: string) => `Ready: ${name} ${version}`,
  queued: "Waiting",
  working: "Judging",
  progress: (done: number, all: number) => `${done} of ${all} judged`,
  stop: "Stop",
  stopped: "Stopped before it was judged.",
  clear: "Clear all",

  results: "Results",
  columns: { name: "Picture", result: "Result", score: "Score", second: "Second model", notes: "Notes" },
  show: (name: string) => `Show ${name}`,
  above: (name: string) => say(words.above, { name: name.replaceAll("_", " ") }),
  below: (name: string) => say(words.below, { name: name.replaceAll("_", " ") }),
  aboveShort: (name: string) => say(words.above_short, { name: name.replaceAll("_", " ") }),
  belowShort: (name: string) => say(words.below_short, { name: name.replaceAll("_", " ") }),
  refused: words.refused,
  error: words.error,
  notJudged: (status: string) => say(words.not_judged, { status }),
  capital,
  pointName: (name: string) => name.replaceAll("_", " "),
  pointOption: (name: string, sensitivity: string, specificity: string) =>
    say(words.point_rates, { name: name.replaceAll("_", " "), sensitivity, specificity }),
  operatingPoint: "Operating point",
  atPoint: (name: string, threshold: string) => capital(say(words.operating_point_at, { name: name.replaceAll("_", " "), threshold })),
  score: capital(words.score_name),
  scoreLabel: (score: string, points: string) => `${capital(say(words.score, { score }))} on a scale from 0 to 1. ${points}`,
  pointLabel: (name: string, threshold: string) =>
    `${capital(say(words.operating_point_at, { name: name.replaceAll("_", " "), threshold }))}.`,
  scoreMeaning: { half: words.score_at_half, validation: words.score_at_validation },
  uncertain: words.uncertain_short,
  uncertainMeaning: (coverage: string) => capital(say(words.uncertain, { coverage })) + ".",
  uncertainBand: (lower: string, upper: string) => capital(say(words.uncertain_band, { lower, upper })),
  pointMeaning: (name: string): string => (words.operating_points as Record<string, string>)[name] ?? "",
  notes: words.notes_title,
  reasons: "Why",
  subtype: "If pneumonia, which kind",
  typicality: (value: string, limit: string) =>
    `Looks like the model's training radiographs: ${value} (at least ${limit} is judged)`,
  heatmapIs: `${words.heatmap_is} ${words.heatmap_is_not}`,

  viewer: {
    label: (name: string) => `Radiograph ${name}`,
    help: "Arrow keys move, plus and minus zoom, 0 fits, I inverts, H shows or hides the heatmap, L the lung outline. Drag to move, drag with Shift or the right button for window and level.",
    toolbar: "Picture",
    zoomIn: "Zoom in",
    zoomOut: "Zoom out",
    fit: "Fit",
    invert: "Invert",
    heatmap: "Heatmap",
    lungs: "Lung outline",
    opacity: "Opacity",
    level: "Level",
    window: "Window",
    reset: "Reset",
    sixteenBit: "16-bit pixels kept",
    legend: ["less", "more"] as [string, string],
  },

  report: "Print report",
  saveJson: "Save JSON",
  saveCsv: "Save table as CSV",
  remove: "Remove",
  reportTitle: "Pneumoscope report",
  reportRows: {
    file: "File",
    sha256: "SHA-256 of the file",
    result: "Result",
    score: "Score",
    point: "Operating point",
    set: "Answers that remain",
    notes: "Notes",
    model: "Model",
    modelSha256: "SHA-256 of the model",
    when: "Judged",
    use: "Intended use",
  },
  heatmapCaption: "Where the score came from (Grad-CAM)",
  pictureCaption: "As judged",

  model: "Model",
  modelCard: "About the model",
  otherModel: "Use another model file",
  builtIn: "Use the built-in model",
  compare: "Compare with a second model",
  stopCompare: "Stop comparing",
  compared: (a: string, b: string) => `${a} beside ${b}`,
  difference: (value: string) => `Scores differ by ${value}`,
  sameSide: "Both say the same",
  otherSide: "The two disagree",
  intendedUse: "Intended use",
  compute: "Compute with",
  computeWith: { wasm: "WebAssembly", webgpu: "WebGPU (if this browser has it)" },

  history: "History",
  keepHistory: "Keep results on this device",
  historyHint: "File name, result and model, without the picture. Nobody else can see it.",
  historyEmpty: "Nothing is kept.",
  deleteAll: "Delete all",
  deleteOne: (name: string) => `Delete ${name}`,
  historyWhen: "When",
  storageFull: "This device has no room left: the result is shown, but not kept.",
  storageOff: "This browser does not let the page keep anything.",

  offlineReady: "Ready to work offline.",
  updateReady: "A new version is ready.",
  updateNow: "Update now",
  offlineFirst: "This device is offline and the page was never here before: connect once to load it.",
  offlineFailed: "The page works, but it could not be kept for offline use: there is not enough room.",

  cameraTitle: "Take a picture",
  cameraShoot: "Take",
  cameraCancel: "Cancel",
  cameraRefused: "The camera was refused. Allow it in the browser's settings, or choose a file.",
  cameraMissing: "No camera was found. Choose a file instead.",

  noWasm: "This browser cannot run WebAssembly, so the page cannot judge. Any browser from 2023 on can.",
  oldBrowser: "This browser is too old for the page. Any browser from 2023 on will do.",
  notSecure: "Browsers allow what this page needs on https and on localhost only. Open it there.",
  loadFailed: (reason: string) => `The page could not get ready: ${reason}`,
  modelFailed: (name: string, reason: string) => `${name}: ${reason}`,
  tookTooLong: "took too long and was given up",
  crashed: (reason: string) => `the engine stopped (${reason})`,
  retry: "Try again",
  unreadableFile: "the browser could not read the file; it may have been moved or changed",

  footer: "Everything is computed on this device. The page loads from where you opened it and speaks to nobody else.",
  source: "Guide and source",
} as const;
