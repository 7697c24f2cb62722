// Charts over the generations; all mark the generation shown, and a click or drag on one chooses it.
const INSET = { left: 52, right: 12, top: 8, bottom: 24 };

function chartFrame(host, low, high, factor) {
  const width = host.clientWidth, height = host.clientHeight, last = data.populations.length - 1;
  const xs = scale(-0.5, last + 0.5, INSET.left, width - INSET.right);
  const ys = scale(low, high, height - INSET.bottom, INSET.top, factor, 30);
  const axis = svg("g", { class: "axis" });
  for (const { at, text } of ys.ticks) {
    axis.append(svg("line", { x1: INSET.left, x2: width - INSET.right, y1: at, y2: at }), svg("text", { x: INSET.left - 8, y: at + 4, "text-anchor": "end" }, text));
  }
  for (const { at, text } of xs.ticks.filter((tick) => !tick.text.includes("."))) {
    axis.append(svg("text", { x: at, y: height - 7, "text-anchor": "middle" }, text));
  }
  const root = svg("svg", { width, height, role: "img" }, axis);
  host.replaceChildren(root);
  return { root, xs, ys, height, width };
}

function nowLine({ root, xs, height }) {
  const x = xs.place(state.generation);
  root.append(svg("line", { class: "now", x1: x, x2: x, y1: INSET.top, y2: height - INSET.bottom }));
}

function scrubbable(host, frame) {
  const choose = (event) => {
    const { width } = frame(), box = host.getBoundingClientRect();
    const share = (event.clientX - box.left - INSET.left) / (width - INSET.left - INSET.right);
    update({ generation: Math.max(0, Math.min(data.populations.length - 1, Math.round(share * data.populations.length - 0.5))) });
  };
  host.addEventListener("pointerdown", (event) => { host.setPointerCapture(event.pointerId); choose(event); });
  host.addEventListener("pointermove", (event) => { if (event.buttons) choose(event); });
}

function makeLine(id, values, { label, factor, write }) {
  const host = byId(id);
  let frame;
  const draw = () => {
    if (!host.clientWidth) return;
    const [low, high] = extent(values);
    frame = chartFrame(host, ...padded(low, high, 0.08), factor);
    frame.root.setAttribute("aria-label", `${label} by generation, from ${write(values[0])} to ${write(values.at(-1))}`);
    frame.root.append(svg("path", { class: "series", d: "M" + values.map((v, g) => `${frame.xs.place(g).toFixed(1)} ${frame.ys.place(v).toFixed(1)}`).join("L") }));
    nowLine(frame);
    frame.root.append(svg("circle", { class: "now-dot", r: 4.5, cx: frame.xs.place(state.generation), cy: frame.ys.place(values[state.generation]) }));
    byId(`${id}-now`).textContent = write(values[state.generation]);
  };
  drawToFit(host, draw);
  listen(["generation"], draw);
  scrubbable(host, () => frame);
}

// Stacked bars, one a generation. `colours` has one entry a label.
function makeStack(id, { labels, rows }, colours) {
  const host = byId(id), sums = rows.map((row) => row.reduce((a, b) => a + b, 0));
  const totals = labels.map((_, i) => rows.reduce((sum, row) => sum + row[i], 0));
  let frame;
  const draw = () => {
    if (!host.clientWidth) return;
    frame = chartFrame(host, 0, Math.max(1, ...sums), 1);
    frame.root.setAttribute("aria-label", labels.map((label, i) => `${label}: ${totals[i]}`).join("; "));
    const room = (frame.width - INSET.left - INSET.right) / rows.length, wide = Math.max(0.8, Math.min(18, room * 0.78));
    labels.forEach((_, i) => {
      const bars = rows.map((row, g) => {
        const below = row.slice(0, i).reduce((a, b) => a + b, 0);
        const x = frame.xs.place(g) - wide / 2, top = frame.ys.place(below + row[i]);
        return row[i] ? `M${x.toFixed(1)} ${top.toFixed(1)}h${wide.toFixed(1)}V${frame.ys.place(below).toFixed(1)}h${-wide.toFixed(1)}z` : "";
      });
      frame.root.append(svg("path", { d: bars.join(""), fill: `var(${colours[i % colours.length]})` }));
    });
    nowLine(frame);
    const now = rows[state.generation];
    byId(`${id}-now`).textContent = `generation ${state.generation}: ${sums[state.generation].toLocaleString("en")}`;
    fillKey(byId(`${id}-key`), labels.map((label, i) => [`var(${colours[i % colours.length]})`, "square", `${label}: ${now[i].toLocaleString("en")} (in all ${totals[i].toLocaleString("en")})`]));
  };
  drawToFit(host, draw);
  listen(["generation"], draw);
  scrubbable(host, () => frame);
}
