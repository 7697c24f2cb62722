function fillSelect(id, names, key, more = []) {
  const select = byId(id);
  for (const name of names) select.append(html("option", { value: name }, quantities.get(name).label));
  for (const [value, text] of more) select.append(html("option", { value }, text));
  select.value = state[key];
  select.addEventListener("change", () => update({ [key]: select.value }));
}

function drawPanel() {
  const row = state.selected;
  byId("panel").hidden = row === null;
  if (row === null) return;
  byId("h-panel").textContent = nameOf(row);
  const fact = (term, value) => html("div", {}, html("dt", {}, term), html("dd", {}, value));
  const facts = data.quantities.map(({ name, label }) => fact(label, written(name, data.values[name][row])));
  const identity = genesOf(row).filter((gene, layer) => gene === data.identities[layer]).length;
  const lived = data.populations.flatMap(({ rows }, generation) => rows.includes(row) ? [generation] : []);
  facts.push(fact("Identity layers", String(identity)), fact("In populations", lived.length ? `${lived[0]}–${lived.at(-1)}` : "none"));
  byId("panel-body").replaceChildren(drawing(row), html("dl", {}, ...facts), html("code", { class: "wide" }, genesOf(row).join(",")));
}

// Three generations of ancestors, each a button that opens it, as lists in each other.
function drawFamily() {
  const row = state.selected;
  if (row === null) return;
  const { mothers, fathers, operators, made } = data.family;
  const genes = (child, parent) => genesOf(child).filter((gene, layer) => gene !== genesOf(parent)[layer]).length;
  const branch = (member, role, child, depth) => {
    const difference = child === null ? "" : `, ${genes(child, member)} of ${data.layers} genes differ`;
    const text = `${role}${nameOf(member)} · ${written("accuracy", data.values.accuracy[member])}, by ${operators[made[member]] ?? "a search that goes on"}${difference}`;
    const button = html("button", { type: "button", class: "kin" }, text);
    button.addEventListener("click", () => {
      update({ selected: member });
      byId("family").querySelector("button").focus(); // the button pressed is gone
    });
    const parents = depth === 3 ? [] : [[mothers[member], "mother: "], [fathers[member], "father: "]].filter(([parent]) => parent >= 0);
    const inner = parents.map(([parent, name]) => branch(parent, name, member, depth + 1));
    return html("li", {}, button, ...(inner.length ? [html("ul", {}, ...inner)] : []));
  };
  byId("family").replaceChildren(branch(row, "", null, 0));
}

function drawCommands() {
  if (state.selected === null) return;
  const genome = genesOf(state.selected).join(",");
  byId("commands").textContent = data.commands.map((line) => line.replaceAll("GENOME", genome)).join("\n");
}

function makePanel() {
  listen(["selected"], () => { drawFamily(); drawCommands(); });
  listen(["selected"], drawPanel);
  byId("copy").addEventListener("click", async () => {
    const text = genesOf(state.selected).join(",");
    try { await navigator.clipboard.writeText(text); byId("copy").textContent = "Copied"; } catch { byId("copy").textContent = "Select it below"; }
    setTimeout(() => { byId("copy").textContent = "Copy genome"; }, 1600);
  });
  document.querySelectorAll("button[data-row]").forEach((button) => button.addEventListener("click", () => {
    update({ selected: Number(button.dataset.row) });
    byId("panel").scrollIntoView({ block: "center" });
  }));
  drawPanel();
  drawFamily();
  drawCommands();
}

function makeSlider() {
  const slider = byId("generation"), last = data.populations.length - 1, play = byId("play");
  const show = () => { slider.value = state.generation; byId("generation-label").textContent = `Generation ${state.generation} of ${last}`; };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  slider.max = last;
  slider.addEventListener("input", () => { stop(); update({ generation: Number(slider.value) }); });
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (state.generation === last) update({ generation: 0 });
    play.textContent = "Pause";
    timer = setInterval(() => { if (state.generation >= last) stop(); else update({ generation: state.generation + 1 }); }, Math.max(60, Math.min(400, 9000 / (last + 1))));
  });
  listen(["generation"], show);
  show();
}

function makeTheme() {
  const button = byId("theme"), media = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (media.matches ? "dark" : "light")) === "dark";
  const show = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; show(); });
  media.addEventListener("change", show);
  show();
}

const names = [...quantities.keys()];
fillSelect("axis-x", names, "x");
fillSelect("axis-y", names, "y");
fillSelect("axis-size", names, "size", [["none", "equal"]]);
byId("range").addEventListener("change", (event) => update({ range: event.target.value }));
makeTheme();
makeSlider();
state.selected = data.picks[0] ?? null;
makePareto();
makePanel();
makeLine("hypervolume", data.hypervolume, { label: "Hypervolume", factor: 1, write: (v) => v.toFixed(4) });
makeLine("identity", data.identityShare, { label: "Share of identity", factor: 100, write: (v) => `${(100 * v).toFixed(1)} %` });
makeStack("effort", data.effort, ["--c0", ...data.effort.labels.slice(1).map((label, i) => label.includes("known") ? "--c5" : ["--c1", "--c4", "--c3"][i % 3])]);
makeStack("survivors", data.survivors, ["--c0", "--c4", "--c3", "--c2", "--c1"]);
makeStack("operators", data.operators, ["--c0", "--c4", "--c3", "--c2", "--c1"]);
document.documentElement.dataset.ready = "true";
