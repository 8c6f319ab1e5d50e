"use strict";
// The console: asks for the cameras every two seconds. Text only ever goes into textContent.

const POLL_MS = 2000;
const STATES = {
  connecting: "Connecting", live: "Live", reconnecting: "Reconnecting",
  failed: "Failed", stopped: "Stopped", stuck: "Hanging",
};
const SILENT_S = 10;
const byId = (id) => document.getElementById(id);
let shown = null;   // name of the camera in the detail section
let opener = null;  // button that opened it

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key === "text") element.textContent = value;
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// Changing only what differs keeps screen readers quiet and the focus in place.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const number = (value, digits = 0) =>
  value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${number(count, unit ? 1 : 0)} ${units[unit]}`;
}

const stateOf = (camera) => (camera.is_stuck ? "stuck" : camera.state);

function noteOf(camera) {
  if (camera.silence_s === null) return "no picture yet";
  if (camera.silence_s > SILENT_S) return `last picture ${duration(camera.silence_s)} ago`;
  return "";
}

function cardFor(camera) {
  const list = byId("cameras");
  for (const item of list.children) if (item.dataset.name === camera.name) return item;
  const picture = make("span", { class: "picture" },
    make("img", { alt: "", class: "still" }), make("span", { class: "note" }));
  const facts = make("span", { class: "facts" }, make("strong", { text: camera.name }),
    make("span", { class: "what" }), make("span", { class: "fps" }), make("span", { class: "ms" }));
  const button = make("button",
    { type: "button", class: "camera", "aria-expanded": "false", "aria-controls": "detail" },
    picture, facts);
  button.addEventListener("click", () => open(camera.name, button));
  const item = make("li", {}, button);
  item.dataset.name = camera.name;
  list.append(item);
  return item;
}

function pictureUrl(name, kind) {
  return `/preview/${encodeURIComponent(name)}.${kind}?t=${Date.now()}`;
}

function updateStill(image, camera, previews) {
  image.classList.toggle("old", Boolean(noteOf(camera)));
  image.hidden = !previews || camera.silence_s === null;
  if (image.hidden || document.hidden || image.dataset.loading) return;
  image.dataset.loading = "1";
  const next = new Image();
  next.onload = () => { image.src = next.src; delete image.dataset.loading; };
  next.onerror = () => { delete image.dataset.loading; };
  next.src = pictureUrl(camera.name, "jpg");
}

function updateCard(camera, previews) {
  const item = cardFor(camera);
  const state = stateOf(camera);
  const what = item.querySelector(".what");
  what.className = `what ${state}`;
  say(what, STATES[state]);
  say(item.querySelector(".fps"), `${number(camera.fps, 1)} fps`);
  say(item.querySelector(".ms"), `${number(camera.latency_ms.p95)} ms p95`);
  const note = item.querySelector(".note");
  say(note, noteOf(camera));
  note.hidden = !note.textContent;
  updateStill(item.querySelector(".still"), camera, previews);
}

function chart(target, points, pick, unit, label) {
  const values = points.map(pick);
  const top = Math.max(...values, 1e-9) * 1.15;
  const ages = points.map((point) => point.age_s);
  const span = Math.max(...ages, 60);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const now = values.length ? values[values.length - 1] : 0;
  const most = Math.max(...values, 0);
  svg.setAttribute("viewBox", "0 0 300 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label",
    `${label}: now ${number(now, 1)} ${unit}, most ${number(most, 1)} ${unit}`);
  for (const y of [0.5, 50, 99.5]) {
    const line = document.createElementNS(svg.namespaceURI, "line");
    for (const [key, value] of [["x1", 0], ["x2", 300], ["y1", y], ["y2", y]]) line.setAttribute(key, value);
    svg.append(line);
  }
  const path = document.createElementNS(svg.namespaceURI, "path");
  const place = (value, index) =>
    `${(300 * (1 - ages[index] / span)).toFixed(1)},${(100 * (1 - value / top)).toFixed(1)}`;
  path.setAttribute("d", values.length ? `M${values.map(place).join("L")}` : "");
  svg.append(path);
  const axis = make("div", { class: "axis", "aria-hidden": "true" },
    make("span", { text: `${duration(span)} ago` }),
    make("span", { text: `most ${number(most, 1)} ${unit}` }),
    make("span", { text: `now ${number(now, 1)} ${unit}` }));
  target.replaceChildren(svg, axis);
}

function figures(camera) {
  const rows = [
    ["In this state for", duration(camera.state_age_s)],
    ["Latency p50 / p95 / p99",
      `${["p50", "p95", "p99"].map((q) => number(camera.latency_ms[q])).join(" / ")} ms`],
    ["Frames in", number(camera.frames_in)],
    ["Frames out", number(camera.frames_out)],
    ["Frames dropped", number(camera.frames_dropped)],
    ["Faces replaced", number(camera.faces_replaced)],
    ["Faces covered", number(camera.faces_covered)],
    ["Refused by the guard", number(camera.guard_rejections)],
    ["Engine errors", number(camera.engine_errors)],
    ["Reconnects", number(camera.reconnects)],
    ["Restarts", number(camera.restarts)],
    ["Key log", bytes(camera.key_log_bytes)],
    ...Object.entries(camera.queues).map(([name, depth]) => [`Queue: ${name}`, number(depth)]),
  ];
  byId("figures").replaceChildren(...rows.map(([name, value]) =>
    make("div", {}, make("dt", { text: name }), make("dd", { text: value }))));
}

function sinkLine([name, sink]) {
  const parts = [`${number(sink.packets_sent)} packets`, `${number(sink.dropped)} dropped`,
    `${number(sink.reconnects)} reconnects`];
  const error = sink.last_error ? ` ${sink.last_error}` : "";
  return make("li", {},
    make("span", { class: `state ${sink.state === "up" ? "live" : "failed"}`, text: `${sink.state} ` }),
    `${name} `, make("span", { class: "tail", text: parts.join(", ") + error }));
}

function errorLine(error) {
  const when = new Date(error.unix_s * 1000);
  const times = error.count > 1 ? ` (${error.count} times)` : "";
  return make("li", {},
    make("time", { datetime: when.toISOString(), text: when.toLocaleTimeString() }),
    error.text + times);
}

function updateDetail(camera, previews) {
  if (!camera) { close(); return; }
  const state = stateOf(camera);
  byId("detail-state").className = `state ${state}`;
  say(byId("detail-state"), STATES[state] + (camera.reason ? `: ${camera.reason}` : ""));
  byId("live").hidden = !previews;
  chart(byId("chart-fps"), camera.history, (point) => point.fps, "fps", "Frames a second");
  chart(byId("chart-latency"), camera.history, (point) => point.latency_ms, "ms", "Longest latency");
  figures(camera);
  const sinks = Object.entries(camera.sinks);
  byId("sinks").replaceChildren(...(sinks.length ? sinks.map(sinkLine) : [make("li", { text: "none" })]));
  byId("errors").replaceChildren(
    ...(camera.errors.length ? camera.errors.map(errorLine) : [make("li", { text: "none" })]));
}

function open(name, button) {
  if (opener) opener.setAttribute("aria-expanded", "false");
  shown = name;
  opener = button;
  button.setAttribute("aria-expanded", "true");
  say(byId("detail-title"), name);
  const live = byId("live");
  live.alt = `Live anonymised picture of ${name}`;
  live.src = pictureUrl(name, "mjpg");
  byId("detail").hidden = false;
  refresh().then(() => byId("detail").focus());
}

function close() {
  byId("detail").hidden = true;
  byId("live").removeAttribute("src");
  if (opener) { opener.setAttribute("aria-expanded", "false"); opener.focus(); }
  shown = opener = null;
}

function summarise(cameras) {
  const live = cameras.filter((camera) => stateOf(camera) === "live" && !noteOf(camera)).length;
  const what = cameras.length === 1 ? "camera" : "cameras";
  say(byId("summary"), cameras.length ? `${live} of ${cameras.length} ${what} live` : "No cameras");
}

async function refresh() {
  const trouble = byId("trouble");
  try {
    const answer = await fetch("/cameras.json");
    if (answer.status === 401) { window.location = "/login"; return; }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const facts = await answer.json();
    trouble.hidden = true;
    byId("logout").hidden = !facts.needs_token;
    summarise(facts.cameras);
    for (const camera of facts.cameras) updateCard(camera, facts.previews);
    const names = new Set(facts.cameras.map((camera) => camera.name));
    for (const item of [...byId("cameras").children]) if (!names.has(item.dataset.name)) item.remove();
    if (shown !== null) updateDetail(facts.cameras.find((camera) => camera.name === shown), facts.previews);
  } catch (error) {
    say(trouble, `The program does not answer (${error.message}). What is shown may be old.`);
    trouble.hidden = false;
  }
}

byId("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && shown !== null) close(); });
(async function poll() {
  await refresh();
  setTimeout(poll, POLL_MS);
})();
