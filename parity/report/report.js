"use strict";
// data: {"checks": [...], "statuses": [...], "cases": {case: {node: {check: [measured, limit, status, floor, guilty, message]}}}}
const data = JSON.parse(document.getElementById("data").textContent);
const U = 2 ** -24;
const at = (row, check) => row.by[data.checks.indexOf(check)];
const measured = (...checks) => row => {
  const found = checks.map(c => at(row, c)).filter(v => v && v[0] !== null).map(v => v[0]);
  return found.length ? Math.max(...found) : null;
};
const ratio = (a, b) => row => { const x = a(row), y = b(row); return x === null || !y ? null : x / y; };
const floors = check => row => { const v = at(row, check); return v && v[3] ? v[0] / v[3] : null; };
const scientific = x => x === null ? "" : x === 0 ? "0" : x.toExponential(1);
const inUnits = x => x === null ? "" : (x / U).toPrecision(2);
const plain = x => x === null ? "" : Number(x.toPrecision(2)).toString();
const local64 = measured("float64 local forward"), total64 = measured("float64 forward");
const back64 = measured("float64 local gradients"), backTotal64 = measured("float64 node gradients", "float64 gradients");
const local32 = measured("float32 local forward"), total32 = measured("float32 forward");
const back32 = measured("float32 local gradients"), backTotal32 = measured("float32 gradients");
const COLUMNS = [
  ["node", row => row.node, x => x], ["class", row => row.kind, x => x],
  ["64 local", local64, scientific], ["64 total", total64, scientific], ["amplif.", ratio(total64, local64), plain],
  ["64 grad local", back64, scientific], ["64 grad total", backTotal64, scientific],
  ["32 local (u)", local32, inUnits], ["x floor", floors("float32 local forward"), plain],
  ["32 total (u)", total32, inUnits], ["x floor", floors("float32 forward"), plain],
  ["32 grad local (u)", back32, inUnits], ["x floor", floors("float32 local gradients"), plain],
  ["32 grad total (u)", backTotal32, inUnits],
  ["least limit", measured("float32 forward", "float32 gradients", "float32 local forward", "float32 local gradients"), scientific],
  ["why", row => row.why, x => x],
];
let rows = [], order = { column: -1, down: true };

function classify(by) {
  const failed = check => { const v = by[data.checks.indexOf(check)]; return v && v[2] === "FAIL" ? v : null; };
  if (failed("float64 local forward") || failed("float64 local gradients")) return "SEMANTIC-DIFF";
  const worse = failed("float32 local forward") || failed("float32 local gradients");
  return worse ? `PRECISION-DIFF(${worse[4]})` : "OK";
}

function load(name) {
  rows = Object.entries(data.cases[name] || {}).map(([node, found], place) => {
    const by = data.checks.map((_, k) => found[k] ? [...found[k]] : null);
    for (const v of by) if (v) v[2] = data.statuses[v[2]];
    const of = ["FAIL", "INCONCLUSIVE", "NOT_RUN"].find(s => by.some(v => v && v[2] === s)) || "PASS";
    const why = by.filter(v => v && v[5]).map(v => v[5]).join("; ");
    return { node, place, by, status: of, kind: classify(by), why };
  });
  drawTree(); drawTable();
}

function drawTable() {
  const text = document.getElementById("filter").value.toLowerCase(), wanted = document.getElementById("status").value;
  let kept = rows.filter(r => r.node.toLowerCase().includes(text));
  if (wanted) kept = kept.filter(r => wanted === "not OK" ? r.status !== "PASS" : r.status === wanted);
  if (order.column >= 0) {
    const value = COLUMNS[order.column][1], sign = order.down ? -1 : 1;
    const compare = (a, b) => {
      const x = value(a), y = value(b);
      if (x === null || y === null) return (x === null) - (y === null);  // empty cells come last
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
    };
    kept = kept.map(r => r).sort((a, b) => compare(a, b) || a.place - b.place);
  }
  const head = document.createElement("tr");
  COLUMNS.forEach(([name], k) => {
    const cell = document.createElement("th");
    cell.textContent = name + (k === order.column ? (order.down ? " ▼" : " ▲") : "");
    cell.onclick = () => { order = { column: k, down: k === order.column ? !order.down : k > 1 }; drawTable(); };
    head.append(cell);
  });
  document.querySelector("#table thead").replaceChildren(head);
  const MOST = 600, body = kept.slice(0, MOST).map(row => {
    const line = document.createElement("tr");
    if (row.status !== "PASS") line.className = row.status;
    for (const [name, value, show] of COLUMNS) {
      const cell = document.createElement("td");
      cell.textContent = show(value(row));
      if (!["node", "class", "why"].includes(name)) cell.className = "n";
      line.append(cell);
    }
    return line;
  });
  document.querySelector("#table tbody").replaceChildren(...body);
  document.getElementById("shown").textContent =
    `${Math.min(kept.length, MOST)} of ${rows.length} nodes` + (kept.length > MOST ? ": filter to see the rest" : "");
}

// green at a hundredth of the limit, red at the limit and beyond
function colour(share) {
  if (share === null) return "#8885";
  const x = Math.min(1, Math.max(0, 1 + Math.log10(Math.max(share, 1e-9)) / 2));
  return `hsl(${120 * (1 - x)} 70% 45%)`;
}
function share(row, checks) {
  const found = checks.map(c => at(row, c)).filter(v => v && v[0] !== null && v[1]);
  return found.length ? Math.max(...found.map(v => v[0] / v[1])) : null;
}
const LOCAL = ["float64 local forward", "float64 local gradients", "float32 local forward", "float32 local gradients"];
const TOTAL = ["float64 forward", "float64 node gradients", "float64 gradients", "float32 forward", "float32 gradients"];
const greatest = (a, b) => a === null ? b : b === null ? a : Math.max(a, b);

function drawTree() {
  const root = { children: new Map(), local: null, total: null };
  for (const row of rows) {
    const path = row.node.replace(/#\d+$/, "").split("/in")[0].replace(/(\[[^\]]*\])+$/, "").split(".");
    const mine = share(row, LOCAL), all = share(row, TOTAL);
    let here = root;
    for (const part of ["", ...path]) {
      if (part) {
        if (!here.children.has(part)) here.children.set(part, { children: new Map(), local: null, total: null });
        here = here.children.get(part);
      }
      here.local = greatest(here.local, mine); here.total = greatest(here.total, all);
    }
  }
  const percent = x => x === null ? "–" : `${(100 * x).toPrecision(2)}%`;
  const label = (name, n) => {
    const line = document.createElement("span"), box = document.createElement("i"), beside = document.createElement("i"), note = document.createElement("small");
    box.style.background = colour(n.local); box.title = "local error";
    beside.style.background = colour(n.total); beside.title = "with inherited error";
    note.textContent = ` ${percent(n.local)} | ${percent(n.total)} of the limit`;
    line.append(box, beside, name, note);
    return line;
  };
  const draw = (name, n, path, depth) => {
    if (!n.children.size) {
      const leaf = document.createElement("div");
      leaf.className = "leaf"; leaf.append(label(name, n)); leaf.onclick = () => pick(path);
      return leaf;
    }
    const branch = document.createElement("details"), summary = document.createElement("summary");
    branch.open = depth < 1 || (n.local !== null && n.local > 1);
    summary.append(label(name, n)); branch.append(summary);
    summary.ondblclick = () => pick(path);
    for (const [part, child] of n.children) branch.append(draw(part, child, path ? `${path}.${part}` : part, depth + 1));
    return branch;
  };
  document.getElementById("tree").replaceChildren(draw("all nodes", root, "", 0));
}
function pick(path) { document.getElementById("filter").value = path; drawTable(); }

const chooser = document.getElementById("case");
for (const name of Object.keys(data.cases)) chooser.append(new Option(name));
chooser.onchange = () => load(chooser.value);
document.getElementById("filter").oninput = drawTable;
document.getElementById("status").onchange = drawTable;

// while the run goes on the page reads itself anew, and shows what it showed before
const reload = document.querySelector("[data-reload]"), FIELDS = ["case", "filter", "status"], KEY = "parity";
try {
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "null");
  if (kept) {
    for (const id of FIELDS) document.getElementById(id).value = kept[id];
    order = kept.order;
    if (chooser.selectedIndex < 0) chooser.selectedIndex = 0;
  }
  sessionStorage.removeItem(KEY);
} catch { /* a browser that keeps nothing for files */ }
if (reload) setTimeout(() => {
  const shown = Object.fromEntries(FIELDS.map(id => [id, document.getElementById(id).value]));
  try { sessionStorage.setItem(KEY, JSON.stringify({ ...shown, order })); } catch { /* as above */ }
  location.reload();
}, 1000 * reload.dataset.reload);
load(chooser.value);
