// The scatter plot of all models, with one generation's population, its front and the picked models on top.
const MARGIN = { left: 62, right: 22, top: 14, bottom: 46 };
let view = null; // places of the models in the last drawing

function population() {
  const { rows, ranks } = data.populations[state.generation];
  return { rows, front: rows.filter((_, i) => ranks[i] === 0) };
}

// The rows that no other one beats in both axes shown, sorted by x; empty where an axis is no objective.
function envelope(rows) {
  const signs = [state.x, state.y].map((name) => ({ max: -1, min: 1 })[data.directions[name]]);
  if (!signs[0] || !signs[1]) return [];
  const cost = (row, axis) => signs[axis] * data.values[axis ? state.y : state.x][row];
  const sorted = [...rows].sort((a, b) => cost(a, 0) - cost(b, 0) || cost(a, 1) - cost(b, 1));
  let best = Infinity;
  return sorted.filter((row) => cost(row, 1) < best && ((best = cost(row, 1)), true));
}

// The rows that the axes make room for; a few models that break a constraint by far would press all others together.
function inRange(always) {
  if (state.range === "population") return always;
  const all = [...Array(count).keys()];
  return state.range === "all" ? all : [...all.filter((row) => data.feasible[row] === "1"), ...always];
}

function drawPareto() {
  const host = byId("pareto"), width = host.clientWidth, height = host.clientHeight;
  if (!width) return;
  const { rows, front } = population();
  const shown = inRange([...rows, ...data.picks]);
  const bounds = (name) => padded(...extent(shown.map((row) => data.values[name][row])));
  const xs = scale(...bounds(state.x), MARGIN.left, width - MARGIN.right, factorOf(state.x));
  const ys = scale(...bounds(state.y), height - MARGIN.bottom, MARGIN.top, factorOf(state.y));
  const px = data.values[state.x].map(xs.place), py = data.values[state.y].map(ys.place);
  const radius = radii();
  view = { px, py, xs, ys, order: keyboardOrder(rows, px) };

  const root = svg("svg", { width, height, "aria-hidden": "true" });
  root.append(drawAxes(xs, ys, width, height));
  const inside = svg("g", { "clip-path": "url(#inside)" });
  const box = { x: MARGIN.left, y: 0, width: width - MARGIN.left, height: height - MARGIN.bottom };
  root.append(svg("defs", {}, svg("clipPath", { id: "inside" }, svg("rect", box))), inside);
  // Thousands of dots are one path of zero-length strokes: far fewer elements than circles.
  const dots = { 0: [], 1: [] };
  for (let row = 0; row < count; row++) dots[data.feasible[row]].push(`M${px[row].toFixed(1)} ${py[row].toFixed(1)}h0`);
  inside.append(svg("path", { class: "cloud poor", d: dots[0].join("") }), svg("path", { class: "cloud", d: dots[1].join("") }));
  const edge = envelope(rows);
  if (edge.length > 1) inside.append(svg("path", { class: "envelope", d: "M" + edge.map((row) => `${px[row].toFixed(1)} ${py[row].toFixed(1)}`).join("L") }));
  const onFront = new Set(front);
  for (const row of [...rows.filter((r) => !onFront.has(r)), ...front]) {
    inside.append(svg("circle", { class: onFront.has(row) ? "front" : "population", cx: px[row], cy: py[row], r: radius(row) }));
  }
  data.picks.forEach((row) => inside.append(svg("circle", { class: "pick", cx: px[row], cy: py[row], r: radius(row) + 4 })));
  root.append(drawPickLabels(px, py, front, width, height));
  const cursor = svg("circle", { class: "cursor", r: 10, visibility: "hidden" });
  root.append(cursor);
  view.cursor = cursor;
  host.replaceChildren(root);
  if (state.selected !== null) placeCursor(state.selected);
  drawParetoKey(rows, front);
}

function radii() {
  if (state.size === "none") return () => 4.5;
  const values = data.values[state.size], [low, high] = extent(values);
  return (row) => 2.8 + 5.2 * Math.sqrt((values[row] - low) / (high - low || 1));
}

function drawAxes(xs, ys, width, height) {
  const floor = height - MARGIN.bottom, group = svg("g", { class: "axis" });
  for (const { at, text } of xs.ticks) {
    group.append(svg("line", { x1: at, x2: at, y1: MARGIN.top, y2: floor }), svg("text", { x: at, y: floor + 18, "text-anchor": "middle" }, text));
  }
  for (const { at, text } of ys.ticks) {
    group.append(svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }), svg("text", { x: MARGIN.left - 9, y: at + 4, "text-anchor": "end" }, text));
  }
  const middle = (MARGIN.top + floor) / 2;
  group.append(
    svg("text", { class: "name", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, labelOf(state.x)),
    svg("text", { class: "name", x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, labelOf(state.y)));
  return group;
}

// Each label takes the first place around its point that is inside and covers no other label, no picked point and, if
// there is such a place, no point of the front.
function drawPickLabels(px, py, front, width, height) {
  const around = (row, r) => ({ x: px[row] - r, y: py[row] - r, w: 2 * r, h: 2 * r });
  const group = svg("g"), taken = data.picks.map((row) => around(row, 9)), busy = front.map((row) => around(row, 6));
  const floor = height - MARGIN.bottom;
  data.picks.forEach((row, position) => {
    const full = data.names[position], text = full.length > 22 ? full.slice(0, 21) + "…" : full;
    const w = 7.4 * text.length + 4, h = 16;
    const places = [14, 30, 48, 70].flatMap((d) => [[-w - d, -d - 4], [-w / 2, -d - h], [d, -d - 4], [d, d - 8], [-w / 2, d], [-w - d, d - 8]]);
    const boxes = places.map(([dx, dy]) => ({ x: px[row] + dx, y: py[row] + dy, w, h }));
    const clear = (b, others) => !others.some((t) => b.x < t.x + t.w && t.x < b.x + w && b.y < t.y + t.h && t.y < b.y + h);
    const free = boxes.filter((b) => b.x > MARGIN.left && b.x + w < width && b.y > 0 && b.y + h < floor && clear(b, taken));
    const box = free.find((b) => clear(b, busy)) ?? free[0];
    if (!box) return;
    taken.push(box);
    group.append(svg("text", { class: "pick-label", x: box.x + 2, y: box.y + 12 }, text));
  });
  return group;
}

function drawParetoKey(rows, front) {
  const when = state.generation === data.populations.length - 1 ? "last population" : `population of generation ${state.generation}`;
  const items = [["var(--cloud)", "", `all ${count.toLocaleString("en")} evaluated models`]];
  if (data.feasible.includes("0")) items.push(["var(--cloud)", "small", "small: break a constraint"]);
  items.push(["var(--c0)", "", `${when} (${rows.length})`], ["var(--c1)", "", `its front (${front.length})`]);
  if (envelope(rows).length > 1) items.push(["var(--c1)", "line", "front in these two axes"]);
  if (data.picks.length) items.push(["", "ring", `picked (${data.picks.length})`]);
  fillKey(byId("pareto-key"), items);
  if (state.size !== "none") {
    const [low, high] = extent(data.values[state.size]).map((value) => written(state.size, value));
    byId("pareto-key").append(html("span", {}, `size: ${quantities.get(state.size).label}, ${low} to ${high}`));
  }
}

function fillKey(host, items) {
  host.replaceChildren(...items.map(([colour, shape, text]) => html("span", {}, html("i", { class: shape, style: `--k:${colour}` }), text)));
}

function keyboardOrder(rows, px) {
  return [...new Set([...rows, ...data.picks])].sort((a, b) => px[a] - px[b]);
}

function nearest(x, y) {
  const special = new Set(view.order);
  let best = null, least = 16;
  for (let row = 0; row < count; row++) {
    const distance = Math.hypot(view.px[row] - x, view.py[row] - y) + (special.has(row) ? 0 : 4);
    if (distance < least) { least = distance; best = row; }
  }
  return best;
}

function placeCursor(row) {
  view.cursor.setAttribute("cx", view.px[row]);
  view.cursor.setAttribute("cy", view.py[row]);
  view.cursor.setAttribute("visibility", view.px[row] >= MARGIN.left ? "visible" : "hidden");
}

function showTip(row) {
  const tip = byId("tip"), host = byId("pareto").getBoundingClientRect();
  const numbers = data.quantities.map(({ name, label }) => html("span", {}, `${label} `, html("b", {}, written(name, data.values[name][row]))));
  tip.replaceChildren(html("b", {}, nameOf(row)), html("div", { class: "numbers" }, ...numbers), html("code", {}, genesOf(row).join(",")), drawing(row));
  tip.hidden = false;
  placeCursor(row);
  const x = host.left + view.px[row], y = host.top + view.py[row], { offsetWidth: w, offsetHeight: h } = tip;
  const left = x + 18 + w < innerWidth ? x + 18 : Math.max(4, x - 18 - w);
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(4, Math.min(y - h / 2, innerHeight - h - 4))}px`;
}

function hideTip() {
  byId("tip").hidden = true;
  if (state.selected !== null) placeCursor(state.selected); else view?.cursor.setAttribute("visibility", "hidden");
}

function makePareto() {
  const host = byId("pareto");
  let hovered = null, at = -1;
  const position = (event) => { const box = host.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  host.addEventListener("pointermove", (event) => {
    hovered = nearest(...position(event));
    if (hovered === null) hideTip(); else showTip(hovered);
  });
  host.addEventListener("pointerleave", hideTip);
  host.addEventListener("click", (event) => { const row = nearest(...position(event)); if (row !== null) update({ selected: row }); });
  host.addEventListener("blur", hideTip);
  host.addEventListener("keydown", (event) => {
    const { order } = view, moves = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      at = Math.max(0, Math.min(order.length - 1, at + moves[event.key]));
      showTip(order[at]);
    } else if (event.key === "Enter" && order[at] !== undefined) update({ selected: order[at] });
    else if (event.key === "Escape") hideTip();
    else return;
    event.preventDefault();
  });
  drawToFit(host, drawPareto);
  listen(["generation", "x", "y", "size", "range"], () => { at = -1; hideTip(); drawPareto(); });
  listen(["selected"], () => placeCursor(state.selected));
}
