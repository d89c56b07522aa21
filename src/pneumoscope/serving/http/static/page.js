// The page: sends each chosen image to the API and shows what comes back. Nothing is kept beyond the page.

const AT_ONCE = 2; // requests under way
const RETRIES = 6; // after a 503, as long as its Retry-After says

const byId = (id) => document.getElementById(id);
const form = byId("form");
const results = byId("results");
const notice = document.querySelector(".notice").textContent.trim();
const words = JSON.parse(byId("words").textContent); // model/wording.json: the words of every interface
const band = JSON.parse(byId("words").dataset.band); // scores at which both answers stay open, or null
const queue = [];
const sources = new WeakMap(); // the file of each card
let opacity = 65; // percent; as last chosen on any card
let active = 0;

/** Put files in line, a card each. */
function add(files) {
  for (const file of files) {
    results.append(enqueue(file));
  }
  byId("clear").hidden = results.childElementCount === 0;
  next();
}

function enqueue(file) {
  const card = makeCard(file.name || "pasted image");
  sources.set(card, file);
  queue.push({ file, card });
  return card;
}

/** Another operating point: every image is judged again. */
function judgeAgain() {
  queue.length = 0;
  for (const card of [...results.children]) card.replaceWith(enqueue(sources.get(card)));
  next();
}

function next() {
  while (active < AT_ONCE && queue.length) {
    const { file, card } = queue.shift();
    if (!card.isConnected) continue;
    active += 1;
    judge(file, card).finally(() => {
      active -= 1;
      next();
    });
  }
}

async function judge(file, card) {
  try {
    const answer = await send(file);
    const record = answer.results ? answer.results[0] : answer.record;
    if (record) show(card, record);
    else fail(card, answer.detail ?? answer.title ?? "The server gave an answer that is not understood.");
  } catch {
    fail(card, "The server cannot be reached. Is it still running?");
  }
}

/** One request; waits and tries again while the server is busy. */
async function send(file) {
  const query = new URLSearchParams({ heatmap: "true", radiograph: "true", opacity: "1" });
  query.set("operating_point", byId("operating-point").value);
  if (byId("prevalence")?.value) query.set("prevalence", byId("prevalence").value);
  const token = byId("token")?.value;
  for (let attempt = 0; ; attempt += 1) {
    const body = new FormData();
    body.append("file", file, file.name || "pasted image");
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch(`${form.action}?${query}`, { method: "POST", body, headers });
    const answer = await response.json();
    if (![429, 503].includes(response.status) || attempt === RETRIES) return answer;
    await new Promise((done) => setTimeout(done, 1000 * Number(response.headers.get("Retry-After") || 1)));
  }
}

function makeCard(name) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  card.querySelector(".name").textContent = name;
  const remove = card.querySelector(".remove");
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", () => {
    (card.nextElementSibling ?? card.previousElementSibling ?? byId("files")).focus();
    card.remove();
    byId("clear").hidden = results.childElementCount === 0;
  });
  return card;
}

/** No probability is shown as certain. */
function percent(value) {
  if (value > 0.9995) return "> 99.9 %";
  if (value < 0.0005) return "< 0.1 %";
  return `${(100 * value).toFixed(1)} %`;
}

/** Three decimals, or as many as keep a score on its side of a threshold and off 0 and 1. */
function decimals(value, threshold = null) {
  for (let count = 3; count <= 6; count += 1) {
    const text = value.toFixed(count);
    const shown = Number(text);
    const sameSide = threshold === null || shown >= threshold === value >= threshold;
    if (sameSide && shown > 0 && shown < 1) return text;
  }
  if (value < 1e-6 && (threshold === null || threshold >= 1e-6)) return "< 0.000001";
  if (value > 1 - 1e-6 && (threshold === null || threshold <= 1 - 1e-6)) return "> 0.999999";
  return String(value);
}

/** A template of the words with its fields filled in. */
function say(key, fields = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => fields[name]);
}

/** Above or below the operating point, or that both answers stay open. */
function resultOf(record) {
  const side = record.probability >= record.threshold ? "above" : "below";
  const text = say(side, { name: record.operating_point });
  return record.prediction_set?.length > 1 ? `${words.uncertain_short} (${text})` : text;
}

function list(card, selector, lines) {
  if (!lines.length) return;
  const items = lines.map((line) => Object.assign(document.createElement("li"), { textContent: line }));
  reveal(card, selector).replaceChildren(...items);
}

function reveal(card, selector) {
  const element = card.querySelector(selector);
  element.hidden = false;
  return element;
}

function announce(card, text) {
  card.querySelector(".verdict").textContent = text;
  byId("announce").textContent = `${card.querySelector(".name").textContent}: ${text}`;
}

function listReasons(card, reasons) {
  const list = reveal(card, ".reasons");
  list.replaceChildren(
    ...reasons.map((reason) => {
      const item = document.createElement("li");
      item.textContent = reason;
      return item;
    }),
  );
}

function fail(card, reason) {
  card.dataset.state = "error";
  card.querySelector(".pending").hidden = true;
  announce(card, "Not judged");
  listReasons(card, [reason]);
}

/** Show a record of the API. */
function show(card, record) {
  card.dataset.state = record.status === "ok" ? (record.probability >= record.threshold ? "above" : "below") : record.status;
  card.querySelector(".pending").hidden = true;
  if (record.radiograph) showPictures(card, record);
  if (record.status === "ok") {
    list(card, ".notes", record.notes.map((note) => `${words.notes_title}: ${note}`));
    announce(card, resultOf(record));
    showScore(card, record);
    if (record.post_test) list(card, ".post-test", postTest(record.post_test));
  } else {
    announce(card, say("not_judged", { status: words[record.status] }));
    listReasons(card, record.reasons.map((reason) => reason.replace(`${record.path}: `, "")));
  }
  if (record.subtype) showSubtype(card, record.subtype);
  if (record.typicality !== null) {
    reveal(card, ".typicality").textContent =
      `Typicality ${record.typicality.toFixed(2)}: how like the training radiographs this image is, 0 to 1.`;
  }
  reveal(card, ".downloads");
  card.querySelector(".save-json").addEventListener("click", () => {
    const { radiograph, ...kept } = record;
    save(new Blob([JSON.stringify({ ...kept, notice }, null, 2)], { type: "application/json" }), record.path, "json");
  });
}

/** The score on a bar with every operating point and the band in which the model does not know. */
function showScore(card, record) {
  reveal(card, ".score");
  const score = decimals(record.probability, record.threshold);
  const at = (name, threshold) => say("operating_point_at", { name, threshold: decimals(threshold) });
  card.querySelector(".number").textContent = score;
  card.querySelector(".dot").style.left = `${100 * record.probability}%`;
  const scale = card.querySelector(".scale");
  const described = [`${say("score", { score })}; ${at(record.operating_point, record.threshold)}`];
  if (band) {
    const open = reveal(card, ".band");
    open.style.left = `${100 * band[0]}%`;
    open.style.width = `${100 * (band[1] - band[0])}%`;
    described.push(say("uncertain_band", { lower: decimals(band[0]), upper: decimals(band[1]) }));
  }
  for (const option of byId("operating-point").options) {
    const mark = document.createElement("span");
    const threshold = Number(option.dataset.threshold);
    mark.className = option.value === record.operating_point ? "mark chosen" : "mark";
    mark.style.left = `${100 * threshold}%`;
    mark.title = at(option.value, threshold);
    scale.append(mark);
    if (option.value !== record.operating_point) described.push(mark.title);
  }
  scale.setAttribute("aria-label", described.join("; "));
  const label = card.querySelector(".threshold");
  label.textContent = `${record.operating_point} ${decimals(record.threshold)}`;
  const place = Math.min(Math.max(record.threshold, 0.2), 0.8);
  label.style.left = `${100 * place}%`;
  label.style.transform = "translateX(-50%)";
}

function postTest(meaning) {
  const { prevalence, probability, threshold, result } = meaning;
  const first = { prevalence: percent(prevalence), probability: percent(probability), threshold: percent(threshold) };
  const lines = [say("post_test_score", first)];
  if (result.ci95) {
    const [low, high] = result.ci95.map(percent);
    lines.push(say("post_test_result", { side: result.side, probability: percent(result.probability), low, high }));
  }
  return lines;
}

function showSubtype(card, subtype) {
  const names = { NORMAL: "Normal", BACTERIAL: "Bacterial", VIRAL: "Viral" };
  const rows = Object.entries(subtype).flatMap(([key, value]) => {
    const [name, bar, number] = ["dt", "dd", "dd"].map((tag) => document.createElement(tag));
    name.textContent = names[key] ?? key;
    bar.className = "bar";
    bar.append(document.createElement("span"));
    bar.firstChild.style.width = `${100 * value}%`;
    bar.setAttribute("aria-hidden", "true");
    number.className = "value";
    number.textContent = percent(value);
    return [name, bar, number];
  });
  reveal(card, ".subtype").querySelector("dl").replaceChildren(...rows);
}

function showPictures(card, record) {
  reveal(card, ".viewer");
  const radiograph = card.querySelector(".radiograph");
  radiograph.src = record.radiograph;
  radiograph.alt = `Radiograph ${record.path}`;
  if (!record.heatmap) return;
  // The overlay came at opacity 1: laid over the radiograph at a share s it is the overlay of opacity s.
  const overlay = reveal(card, ".overlay");
  overlay.src = record.heatmap;
  overlay.alt = "Heatmap of where the model looked";
  reveal(card, ".legend");
  const control = reveal(card, ".opacity");
  const slider = control.querySelector("input");
  const apply = () => {
    opacity = slider.value;
    overlay.style.opacity = slider.value / 100;
    control.querySelector("output").textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", `${slider.value} percent`);
  };
  slider.value = opacity;
  slider.addEventListener("input", apply);
  apply();
  const button = reveal(card, ".save-picture");
  button.addEventListener("click", () => savePicture(radiograph, overlay, slider.value / 100, record));
}

/** The picture as it is seen, with the score and the notice below it. */
function savePicture(radiograph, overlay, opacity, record) {
  const { naturalWidth: width, naturalHeight: height } = radiograph;
  const size = Math.max(13, Math.round(width / 42));
  const canvas = Object.assign(document.createElement("canvas"), { width, height: height + 4 * size });
  const draw = canvas.getContext("2d");
  draw.fillStyle = "#101216";
  draw.fillRect(0, 0, canvas.width, canvas.height);
  draw.drawImage(radiograph, 0, 0);
  draw.globalAlpha = opacity;
  draw.drawImage(overlay, 0, 0, width, height);
  draw.globalAlpha = 1;
  draw.fillStyle = "#f0f2f5";
  draw.font = `${size}px sans-serif`;
  const at = say("operating_point_at", { name: record.operating_point, threshold: decimals(record.threshold) });
  const score = `${resultOf(record)}   ${say("score", { score: decimals(record.probability, record.threshold) })}; ${at}`;
  draw.fillText(score, size, height + 1.6 * size, width - 2 * size);
  draw.fillText(notice, size, height + 3.2 * size, width - 2 * size);
  canvas.toBlob((blob) => save(blob, record.path, "overlay.png"), "image/png");
}

function save(blob, path, ending) {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob),
    download: `${path.replace(/\.[^.]+$/, "")}.${ending}`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const id of ["files", "camera"]) {
  byId(id).addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = "";
  });
}
byId("operating-point").addEventListener("change", judgeAgain);
byId("prevalence")?.addEventListener("change", judgeAgain);
form.addEventListener("submit", (event) => event.preventDefault());
byId("clear").addEventListener("click", () => {
  queue.length = 0;
  results.replaceChildren();
  byId("clear").hidden = true;
  byId("files").focus();
});
for (const type of ["dragenter", "dragover"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
for (const type of ["dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    if (type === "drop" || !event.relatedTarget) form.classList.remove("over");
  });
}
document.addEventListener("drop", (event) => add([...event.dataTransfer.files]));
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) add(files);
});
