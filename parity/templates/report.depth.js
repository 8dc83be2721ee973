// error over depth: nodes in the order of execution, inherited errors as lines, local ones as dots, limits dashed;
// what is exact has no place on such a scale and is left out
const VIEWS = {
  forward: { of: "forward", series: [["64, whole run", "float64 forward", "--two", false], ["64, by itself", "float64 local forward", "--two", true],
    ["32, whole run", "float32 forward", "--three", false], ["32, by itself", "float32 local forward", "--three", true]] },
  backward: { of: "backward", series: [["64, whole run", "float64 node gradients", "--two", false], ["64, by itself", "float64 local gradients", "--two", true],
    ["32, by itself", "float32 local gradients", "--three", true]] },
  parameters: { of: null, series: [["64, whole run", "float64 gradients", "--two", false], ["64, by itself", "float64 local gradients", "--two", true],
    ["32, whole run", "float32 gradients", "--three", false], ["32, by itself", "float32 local gradients", "--three", true]] },
};
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function pictured(name, view) {
  const all = comparisons(name), found = data.cases[name];
  let order = view === "parameters" ? null : found[VIEWS[view].of];
  if (!order) order = [...new Set(all.filter(v => v.check === "float64 gradients" || v.check === "float32 gradients").map(v => v.node))];
  const place = new Map(order.map((node, k) => [node, k]));
  const series = [], limits = new Map();
  for (const [label, check, stroke, local] of VIEWS[view].series) {
    const of = all.filter(v => v.check === check && place.has(v.node));
    if (!of.length) continue;
    const values = new Array(order.length).fill(null), failed = new Array(order.length).fill(null);
    const key = label.slice(0, 2);
    if (!limits.has(key)) limits.set(key, { stroke, values: new Array(order.length).fill(null) });
    for (const v of of) {
      const k = place.get(v.node);
      if (v.measured && v.limit !== 0) values[k] = Math.abs(v.measured);
      if (v.status === "FAIL") failed[k] = values[k] === null ? 1 : values[k];
      if (v.limit) limits.get(key).values[k] = v.limit;
    }
    series.push({ label, stroke, local, values, failed });
  }
  return { order, series, limits };
}

function uplotOf(host, { order, series, limits }, width, height, small) {
  const xs = order.map((_, k) => k), values = [xs], soft = colour("--soft"), line = colour("--line");
  const shown = [{ label: "node" }];
  for (const s of series) {
    values.push(s.values);
    shown.push(s.local ? { label: s.label, stroke: colour(s.stroke), paths: () => null, points: { show: true, size: small ? 4 : 5, width: 0, fill: colour(s.stroke), space: 0 } }
      : { label: s.label, stroke: colour(s.stroke), width: 1.5, points: { show: order.length < 3 }, spanGaps: true });
  }
  for (const [key, limit] of limits) {
    values.push(limit.values);
    shown.push({ label: `${key}, limit`, stroke: colour(limit.stroke), width: 1, dash: [5, 4], points: { show: false }, spanGaps: true });
  }
  const failed = xs.map(k => { const f = series.map(s => s.failed[k]).filter(x => x !== null); return f.length ? Math.max(...f) : null; });
  if (failed.some(x => x !== null)) {
    values.push(failed);
    shown.push({ label: "fails", stroke: colour("--fail"), paths: () => null, points: { show: true, size: small ? 8 : 9, width: 2, fill: "transparent", stroke: colour("--fail"), space: 0 } });
  }
  const numbersOnly = values.slice(1).flat().filter(x => x !== null && x > 0);
  const low = Math.max(1e-18, Math.min(1e-16, ...numbersOnly) / 2), high = Math.min(1e6, Math.max(1e-10, ...numbersOnly) * 5);
  const step = Math.max(1, Math.round(Math.log10(high / low) / (small ? 4 : 9)));
  const decades = () => { const found = []; for (let e = Math.ceil(Math.log10(low) / step) * step; e <= Math.log10(high); e += step) found.push(10 ** e); return found; };
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const options = {
    width, height, legend: { show: !small, live: false }, scales: { x: { time: false }, y: { distr: 3, range: [low, high] } }, series: shown,
    axes: [{ ...axis, size: small ? 4 : 26, values: small ? () => [] : undefined }, { ...axis, size: 52, splits: decades, filter: (_, ticks) => ticks, values: (_, ticks) => ticks.map(t => `1e${Math.round(Math.log10(t))}`) }],
    cursor: small ? { show: false } : { drag: { x: true, y: false }, points: { show: false } },
  };
  return new uPlot(options, values, host);
}

let chart = null, chartKey = "", hovered = -1;
function drawDepth() {
  const host = byId("picture"), key = [state.case, state.view].join("|");
  if (!byId("depth").open || (key === chartKey && chart)) { markNode(); return; }
  if (chart) chart.destroy();
  host.replaceChildren();
  chart = null; chartKey = key; hovered = -1;
  if (!state.case) return;
  const shown = pictured(state.case, state.view);
  if (!shown.order.length || !shown.series.length) {
    host.append(make("p", { class: "soft", text: "Nothing of this kind was compared node by node here; the comparisons below have it." }));
    drawNode();
    return;
  }
  chart = uplotOf(host, shown, Math.max(280, host.clientWidth), Math.min(420, Math.max(260, innerHeight / 2.2)), false);
  chart.nodes = shown.order;
  const tip = make("div", { class: "tip", hidden: true });
  host.append(tip);
  const showTip = () => {
    const k = chart.cursor.idx;
    if (k === null || k === undefined || chart.cursor.left < 0) { tip.hidden = true; return; }
    hovered = k;
    tip.textContent = describe(shown.order[k]);
    tip.hidden = false;
    const left = chart.valToPos(k, "x") + 60;
    tip.style.left = `${Math.max(0, Math.min(left, host.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = "8px";
  };
  chart.hooks.setCursor = [showTip];
  let down = 0;
  chart.over.addEventListener("mousedown", event => { down = event.clientX; });
  chart.over.addEventListener("mouseleave", () => { tip.hidden = true; });
  chart.over.addEventListener("click", event => {
    if (Math.abs(event.clientX - down) < 4 && chart.cursor.idx !== null) pick(nameOf(shown.order[chart.cursor.idx]));
  });
  for (const th of host.querySelectorAll(".u-legend th")) {
    th.tabIndex = 0;
    th.onkeydown = event => { if (event.key === "Enter") th.click(); };
  }
  markNode();
}
const nameOf = node => data.cases[state.case].nodes[node];
function describe(node) {
  const found = data.cases[state.case], checks = VIEWS[state.view].series.map(s => s[1]);
  const lines = [nameOf(node)];
  if (found.shapes[node] !== undefined) lines.push(`${data.texts[found.shapes[node]]}, RMS ${scientific(found.rms[node])}`);
  for (const v of comparisons(state.case)) if (v.node === node && checks.includes(v.check))
    lines.push(`${v.check}: ${scientific(v.measured)} of ${scientific(v.limit)}${v.status === "PASS" ? "" : ` ${v.status}`}`);
  return lines.join("\n");
}
byId("picture").addEventListener("keydown", event => {
  if (!chart || event.target.id !== "picture") return;
  const last = chart.nodes.length - 1;
  const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -last - 1, End: last + 1 }[event.key];
  if (event.key === "Enter" && hovered >= 0) { pick(nameOf(chart.nodes[hovered])); event.preventDefault(); }
  if (!step) return;
  event.preventDefault();
  hovered = Math.max(0, Math.min(last, hovered < 0 ? 0 : hovered + step));
  chart.setCursor({ left: chart.valToPos(hovered, "x"), top: 20 });
});
function pick(name) { change({ node: name, at: "depth", open: opened("depth") }, true); }
function markNode() {
  if (chart && state.node) {
    const k = chart.nodes.findIndex(n => nameOf(n) === state.node);
    if (k >= 0) { hovered = k; chart.setCursor({ left: chart.valToPos(k, "x"), top: 20 }); }
    byId("picture").querySelector(".tip").hidden = true; // the panel below says it all
  }
  drawNode();
}

// one node: what each check found, both sides' values, their difference, and where the code is
function drawNode() {
  const host = byId("node"), found = data.cases[state.case];
  host.replaceChildren();
  if (!state.node || !found) return;
  const of = comparisons(state.case).filter(v => v.name === state.node);
  if (!of.length) return;
  const node = of[0].node, panel = make("div", { class: "node" });
  panel.append(make("h3", { class: "mono", text: state.node }));
  if (found.shapes[node] !== undefined) panel.append(make("p", { text: `${data.texts[found.shapes[node]]}; root mean square of the reference's values ${scientific(found.rms[node])}` }));
  const code = found.code && found.code[node];
  if (code) panel.append(make("div", { class: "pair" }, ...data.sides.map((side, k) => make("div", {}, make("small", { text: `${side}: ` }), make("code", { text: data.texts[code[k]] || "no source" })))));
  const table = make("table", {}, make("tr", {}, ...["check", "verdict", "error", "limit", "of its limit", "noise floor", "why"].map(t => make("th", { text: t }))));
  for (const v of of) table.append(make("tr", { class: v.status }, ...[v.check, v.status, scientific(v.measured), scientific(v.limit), v.share === null ? "" : `${(100 * v.share).toPrecision(2)} %`, scientific(v.floor), v.why].map(t => make("td", { text: t }))));
  panel.append(make("div", { class: "wide" }, table));
  const kept = of.filter(v => v.values);
  for (const v of kept) panel.append(valuesOf(v));
  if (!kept.length) panel.append(make("p", { class: "soft", text: "Values are kept of nodes that fail, and of those nearest to their limits." }));
  host.append(panel);
}
function valuesOf(v) {
  const { sides, worst, picture, decades } = v.values;
  const names = ["shape", "dtype", "mean", "std", "min", "max", "not finite"].filter(n => sides.some(s => s && s[n] !== undefined));
  const table = make("table", {}, make("tr", {}, make("th"), ...data.sides.map(s => make("th", { text: s }))));
  const told = x => x === undefined ? "" : Array.isArray(x) ? x.join(" x ") : typeof x === "number" ? Number(x.toPrecision(6)) : x;
  for (const n of names) table.append(make("tr", {}, make("th", { text: n }), ...sides.map(s => make("td", { class: "n", text: s ? told(s[n]) : "absent" }))));
  const box = make("details", { open: v.status === "FAIL" }, make("summary", { text: `values: ${v.check}` }));
  const pair = make("div", { class: "pair" }, make("div", {}, table));
  if (worst) {
    const list = make("table", {}, make("caption", { text: "where they differ most" }), make("tr", {}, ...["index", ...data.sides].map(t => make("th", { text: t }))));
    for (const [index, a, b] of worst) list.append(make("tr", {}, make("td", { class: "mono", text: `[${index.join(", ")}]` }), make("td", { class: "n", text: a }), make("td", { class: "n", text: b })));
    pair.append(make("div", {}, list));
  }
  if (picture) pair.append(make("figure", {}, differenceImage(picture), make("figcaption", { text: "greatest difference over the last two axes: pale none, dark the greatest, two shades a decade" })));
  if (decades) pair.append(histogram(decades));
  box.append(pair);
  return box;
}
function differenceImage(rows) {
  const canvas = make("canvas", { class: "difference", role: "img", "aria-label": "difference of both sides", width: rows[0].length, height: rows.length });
  const pen = canvas.getContext("2d");
  rows.forEach((row, y) => [...row].forEach((digit, x) => {
    pen.fillStyle = digit === "0" ? "#f4f4f0" : `hsl(${48 - 4.8 * digit} 90% ${92 - 7.4 * digit}%)`;
    pen.fillRect(x, y, 1, 1);
  }));
  canvas.style.aspectRatio = `${rows[0].length} / ${Math.max(rows.length, rows[0].length / 8)}`;
  return canvas;
}
function histogram([top, counts]) {
  const most = Math.max(...counts), last = counts.length - 1;
  const text = k => k === last ? `equal: ${counts[k]}` : `1e${Math.floor(top) - k}: ${counts[k]}`;
  const bars = counts.map((c, k) => { const bar = make("i", { title: text(k) }); bar.style.height = c ? `${8 + 92 * Math.log10(1 + c) / Math.log10(1 + most)}%` : "1px"; return bar; });
  return make("figure", {}, make("div", { class: "bars", role: "img", "aria-label": counts.map((_, k) => text(k)).join(", ") }, ...bars),
    make("figcaption", { text: `elements by the decade of their difference, from ${scientific(10 ** top)} down; the last bar are equal` }));
}
