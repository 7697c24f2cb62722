"use strict";
const data = JSON.parse(document.getElementById("search-data").textContent);
const byId = (id) => document.getElementById(id);
const count = data.genomes.length / data.layers;
const quantities = new Map(data.quantities.map((quantity) => [quantity.name, quantity]));

// What the page shows; `update` changes it and redraws whoever listens to one of the changed keys.
const state = { generation: data.populations.length - 1, selected: null, ...data.axes, range: "feasible" };
const listeners = [];
function listen(keys, draw) { listeners.push({ keys, draw }); }
function update(change) {
  const keys = Object.keys(change).filter((key) => state[key] !== change[key]);
  Object.assign(state, change);
  for (const { keys: wanted, draw } of listeners) if (keys.some((key) => wanted.includes(key))) draw();
}

function element(namespace, tag, attributes, children) {
  const made = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
const svg = (tag, attributes = {}, ...children) => element("http://www.w3.org/2000/svg", tag, attributes, children);
const html = (tag, attributes = {}, ...children) => element("http://www.w3.org/1999/xhtml", tag, attributes, children);

const genomeOf = (row) => data.genomes.slice(row * data.layers, (row + 1) * data.layers);
// One letter a gene: a base 36 digit, or from 36 on the letter of that number after U+0100.
const readGene = (letter) => letter < "\u0100" ? parseInt(letter, 36) : letter.codePointAt(0) - 0x100;
const genesOf = (row) => [...genomeOf(row)].map(readGene);
const nameOf = (row) => data.picks.includes(row) ? data.names[data.picks.indexOf(row)] : `model ${row}`;

// Put together from parts that the page's maker drew: they hold nothing that a user wrote.
function drawing(row) {
  const { before, blocks, after } = data.drawing;
  const holder = html("div", { class: "scroll" });
  holder.innerHTML = before + genesOf(row).map((gene, layer) => blocks[layer][gene]).join("") + after;
  holder.querySelector("title").textContent = nameOf(row);
  return holder;
}

const factors = { percent: 100, millions: 1e-6, ms: 1, plain: 1 };
const suffixes = { percent: "%", millions: "M", ms: "ms", plain: "" };
const factorOf = (name) => factors[quantities.get(name).unit];
function labelOf(name) {
  const { label, unit } = quantities.get(name);
  return suffixes[unit] ? `${label} (${suffixes[unit]})` : label;
}
function written(name, value) {
  const { unit } = quantities.get(name);
  if (unit === "percent") return `${(100 * value).toFixed(2)} %`;
  if (unit === "millions" && value < 999500) return `${Number((value / 1e3).toPrecision(3))} k`;
  if (unit === "millions") return value >= 1e8 ? `${(value / 1e6).toFixed(1)} M` : `${Number((value / 1e6).toPrecision(3))} M`;
  if (unit === "ms") return `${Number(value.toPrecision(3))} ms`;
  return String(Number(value.toPrecision(4)));
}

// A scale from values to pixels, with round ticks in the quantity's displayed unit.
function scale(low, high, from, to, factor = 1, apart = 70) {
  if (!(high > low)) { const room = Math.abs(low) * 0.05 || 1; low -= room; high += room; }
  const place = (value) => from + (value - low) / (high - low) * (to - from);
  const span = (high - low) * factor, wanted = Math.max(2, Math.abs(to - from) / apart);
  const power = 10 ** Math.floor(Math.log10(span / wanted));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => span / s <= wanted);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low * factor / step - 1e-9); i * step <= high * factor * (1 + 1e-12); i++) {
    ticks.push({ at: place(i * step / factor), text: (i * step).toFixed(digits) });
  }
  return { place, ticks };
}

function padded(low, high, share = 0.04) {
  return [low - share * (high - low), high + share * (high - low)];
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return [low, high];
}

// Draws at once, so that nothing can be pointed at before it is there, and again where the room has changed.
function drawToFit(host, draw) {
  const room = () => `${host.clientWidth} ${host.clientHeight}`;
  let drawn = room();
  draw();
  new ResizeObserver(() => { if (drawn !== room()) { drawn = room(); draw(); } }).observe(host);
}
