// what happens when somebody clicks, types, searches, comes back or prints
const sections = [...document.querySelectorAll("details.section")];
const opened = id => [...new Set([...state.open.split(",").filter(Boolean), id])].join(",");
for (const section of sections) section.addEventListener("toggle", () => {
  const open = sections.filter(s => s.open).map(s => s.id).join(",");
  if (open !== state.open) change({ open });
});
const controls = [...document.querySelectorAll("[data-state]")];
for (const control of controls) {
  const key = control.dataset.state;
  if (key === "case") for (const name of Object.keys(data.cases)) control.append(new Option(name));
  control.addEventListener(control.tagName === "INPUT" ? "input" : "change", () => change(key === "case" ? { case: control.value, node: "" } : { [key]: control.value }));
}

function show() {
  for (const control of controls) if (control.value !== state[control.dataset.state]) control.value = state[control.dataset.state];
  const open = state.open.split(",");
  for (const section of sections) if (section.open !== open.includes(section.id)) section.open = open.includes(section.id);
  for (const cell of document.querySelectorAll(".cell[aria-current]")) cell.removeAttribute("aria-current");
  if (state.kind) for (const cell of document.querySelectorAll(".cell")) {
    const to = new URLSearchParams(cell.hash.slice(1));
    if (to.get("case") === state.case && to.get("kind") === state.kind) cell.setAttribute("aria-current", "true");
  }
  drawDepth(); drawComparisons(); drawModules(); drawCurves(); search();
}
listeners.push(show);

// arrow keys go through the matrix; one of its cells is in the order of tabs
const grid = [...document.querySelectorAll(".matrix tbody tr")].map(row => [...row.querySelectorAll("td")].map(cell => cell.firstElementChild));
const cellsOf = grid.flat().filter(Boolean);
if (cellsOf.length) cellsOf[0].tabIndex = 0;
byId("matrix").addEventListener("keydown", event => {
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  const y = grid.findIndex(row => row.includes(event.target));
  if (!step || y < 0) return;
  event.preventDefault();
  let [i, j] = [y, grid[y].indexOf(event.target)], next = null;
  do { i += step[0]; j += step[1]; next = grid[i] && grid[i][j]; } while (next === null);
  if (!next) return;
  event.target.tabIndex = -1; next.tabIndex = 0; next.focus();
});

// search: everything that has a name
const findBox = byId("find");
let index = null;
function makeIndex() {
  const found = [];
  for (const [name, one] of Object.entries(data.cases)) {
    found.push([name, "case", { case: name, at: "depth" }]);
    for (const node of one.nodes) found.push([node, name, { case: name, node, at: "depth" }]);
  }
  for (const check of data.checks) found.push([check, "check", { case: Object.keys(data.cases).find(n => comparisons(n).some(v => v.check === check)), kind: data.of[numbers.get(check)], at: "comparisons" }]);
  for (const section of sections) {
    found.push([section.querySelector("h2").textContent, "section", { at: section.id }]);
    if (["mutants", "bred", "atlas", "environment", "others", "choices"].includes(section.id)) for (const row of section.querySelectorAll("tbody tr")) found.push([row.textContent.replace(/\s+/g, " ").slice(0, 160), section.querySelector("h2").textContent, { at: section.id }, row]);
  }
  return found;
}
let searched = "";
function search() {
  if (findBox.value !== state.find) findBox.value = state.find;
  if (state.find === searched) return;
  searched = state.find;
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean), box = byId("found");
  box.hidden = !words.length;
  byId("found-count").textContent = "";
  if (!words.length) return;
  index = index || makeIndex();
  const hits = index.filter(([text, where]) => words.every(w => text.toLowerCase().includes(w) || where.toLowerCase().includes(w)));
  byId("found-count").textContent = `${hits.length} found${hits.length > 100 ? ", the first 100 are listed" : ""}`;
  box.replaceChildren(make("ul", {}, ...hits.slice(0, 100).map(([text, where, to, row]) => make("li", {},
    make("a", { href: addressOf({ ...DEFAULTS, ...to }), text, onclick: event => {
      event.preventDefault(); change({ node: "", kind: "", status: "", q: "", ...to, open: opened(to.at) }, true); arrive(); if (row) row.scrollIntoView({ block: "center" });
    } }), make("small", { text: ` ${where}` })))));
}
findBox.addEventListener("input", () => change({ find: findBox.value }));
document.addEventListener("keydown", event => {
  if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) { event.preventDefault(); findBox.focus(); }
  if (event.key === "Escape" && event.target === findBox) change({ find: "" });
});

// a button that copies the command beside it
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", async () => {
  const text = button.dataset.copy;
  try { await navigator.clipboard.writeText(text); } catch { // a page that is a file may not be let
    const area = make("textarea"); area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
});

// a card's picture: the neighbourhood of the node in its case
function drawCards() {
  for (const card of document.querySelectorAll(".card[data-case]")) {
    const { case: name, node, check } = card.dataset, host = card.querySelector(".picture");
    host.replaceChildren();
    const found = data.cases[name];
    if (!found) continue;
    const view = !check.includes("gradients") ? "forward" : found.backward && found.backward.some(n => found.nodes[n] === node) ? "backward" : "parameters";
    const whole = pictured(name, view), at = whole.order.findIndex(n => found.nodes[n] === node);
    if (at < 0 || !whole.series.length) continue;
    const from = Math.max(0, at - 40), to = Math.min(whole.order.length, at + 41), cut = list => list.slice(from, to);
    const limits = new Map([...whole.limits].map(([key, l]) => [key, { ...l, values: cut(l.values) }]));
    const near = { order: cut(whole.order), series: whole.series.map(s => ({ ...s, values: cut(s.values), failed: cut(s.failed) })), limits };
    uplotOf(host, near, Math.max(200, host.clientWidth), 130, true);
    host.setAttribute("role", "img");
    host.setAttribute("aria-label", `errors of the nodes around ${node}, ${view}`);
  }
}

// losses of steps: both sides, and how far apart they are beside the tube of the reference's copies
let curvesDrawn = false;
function drawCurves() {
  if (!byId("steps").open || curvesDrawn) return;
  curvesDrawn = true;
  const host = byId("curves"), least = 1e-9;
  if (!Object.keys(data.curves).length) host.append(make("p", { text: "No float32 steps were run." }));
  for (const [name, { sides: [a, b], copies }] of Object.entries(data.curves)) {
    const xs = a.map((_, k) => k), far = list => list.map((x, k) => Math.abs(x - a[k]) + least);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, size: 50 };
    for (const [title, lines, log] of [[`${name}: loss`, [[data.sides[0], a, "--one", 3], [data.sides[1], b, "--two", 1.5]], false],
      [`${name}: distance from ${data.sides[0]}`, [...copies.map((c, k) => [k ? "" : "one unit in the last place away", far(c), "--soft", 0.7]), [data.sides[1], far(b), "--two", 2]], true]]) {
      const figure = make("figure", {}, make("figcaption", { text: title }));
      host.append(figure);
      new uPlot({ width: Math.max(280, figure.clientWidth), height: 220, scales: { x: { time: false }, y: { distr: log ? 3 : 1 } }, axes: [{ ...axis, size: 30 }, axis],
        series: [{ label: "step" }, ...lines.map(([label, , stroke, width]) => ({ label, stroke: colour(stroke), width }))] }, [xs, ...lines.map(l => l[1])], figure);
    }
  }
}
function redraw() { chartKey = ""; curvesDrawn = false; byId("curves").replaceChildren(); drawCards(); show(); }
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
let resized = 0;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(redraw, 200); });

// while the run goes on the page reads itself anew; what is shown is in the address, where it is scrolled to is kept
const reload = document.querySelector("[data-reload]"), KEY = "parity-scroll";
try { const y = sessionStorage.getItem(KEY); sessionStorage.removeItem(KEY); if (y) requestAnimationFrame(() => scrollTo(0, Number(y))); } catch { /* a browser that keeps nothing for files */ }
if (reload) setTimeout(() => { try { sessionStorage.setItem(KEY, scrollY); } catch { /* as above */ } location.reload(); }, 1000 * reload.dataset.reload);

state = readAddress();
if (state.at && byId(state.at)) state.open = opened(state.at);
if (!state.open && document.querySelector(".answer.FAIL") && data.cases[state.case] && data.cases[state.case].forward) state.open = "depth";
show(); drawCards(); arrive();
