// lists that are sorted and filtered: comparisons, modules, and the tree of modules
const MOST = 400; // rows that are drawn

function drawSorted(table, columns, rows, shown, onPick) {
  const [column, down] = table.id === state.sort.split(":")[0] ? [Number(state.sort.split(":")[1]), state.sort.endsWith("down")] : [-1, false];
  if (column >= 0 && columns[column]) {
    const value = columns[column][1], sign = down ? -1 : 1;
    rows = rows.map((row, k) => [row, k]).sort(([a, i], [b, j]) => {
      const x = value(a), y = value(b);
      if (x === null || y === null || x === "" || y === "") return (x === null || x === "") - (y === null || y === "") || i - j; // empty cells come last
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || i - j;
    }).map(([row]) => row);
  }
  const head = make("tr", {}, ...columns.map(([name], k) => make("th", { "aria-sort": k === column ? (down ? "descending" : "ascending") : "none" },
    make("button", { type: "button", text: name + (k === column ? (down ? " ▼" : " ▲") : ""), onclick: () => change({ sort: `${table.id}:${k}:${k === column ? (down ? "up" : "down") : (typeof columns[k][1](rows[0] || {}) === "string" ? "up" : "down")}` }) }))));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...rows.slice(0, MOST).map(row => make("tr", { class: row.status === "PASS" ? null : row.status },
    ...columns.map(([name, value, show], k) => {
      const cell = make("td", { class: typeof value(row) === "number" ? "n" : k === 0 ? "mono" : null });
      if (k === 0 && onPick) cell.append(make("a", { href: addressOf({ ...state, node: row.name, at: "depth" }), text: row.name, onclick: event => { event.preventDefault(); onPick(row); } }));
      else cell.textContent = show ? show(value(row)) : value(row);
      return cell;
    }))));
  if (shown) shown.textContent = `${Math.min(rows.length, MOST)} of ${rows.length}${rows.length > MOST ? ": narrow the choice to see the rest" : ""}`;
}

const COMPARISON = [["what", v => v.name], ["check", v => v.check], ["verdict", v => v.status], ["error", v => v.measured, scientific], ["limit", v => v.limit, scientific],
  ["% of its limit", v => v.share === null || v.share === undefined ? null : 100 * v.share, x => x === null ? "" : Number(x.toPrecision(2)).toString()], ["why", v => v.why]];
function drawComparisons() {
  if (!byId("comparisons").open || !data.cases[state.case]) return;
  const text = state.q.toLowerCase();
  const rows = comparisons(state.case).filter(v => (!state.kind || v.kind === state.kind) && (!text || v.name.toLowerCase().includes(text)) &&
    (!state.status || (state.status === "not PASS" ? v.status !== "PASS" : v.status === state.status)));
  drawSorted(byId("table"), COMPARISON, rows, byId("shown"), row => showNode(row.name));
}
function showNode(name) { change({ node: name, at: "depth", open: opened("depth") }, true); arrive(); }

// modules: one row a node, its errors of all checks beside each other
const inUnits = x => x === null ? "" : (x / U).toPrecision(2);
const plain = x => x === null ? "" : Number(x.toPrecision(2)).toString();
const measured = (...checks) => row => { const found = checks.map(c => row.by[c]).filter(v => v && v.measured !== null).map(v => v.measured); return found.length ? Math.max(...found) : null; };
const ratio = (a, b) => row => { const x = a(row), y = b(row); return x === null || !y ? null : x / y; };
const overFloor = check => row => { const v = row.by[check]; return v && v.floor ? v.measured / v.floor : null; };
const local64 = measured("float64 local forward"), total64 = measured("float64 forward");
const MODULES = [["node", r => r.name], ["class", r => r.kind],
  ["64 by itself", local64, scientific], ["64 whole run", total64, scientific], ["amplif.", ratio(total64, local64), plain],
  ["64 grad itself", measured("float64 local gradients"), scientific], ["64 grad whole", measured("float64 node gradients", "float64 gradients"), scientific],
  ["32 itself (u)", measured("float32 local forward"), inUnits], ["x floor", overFloor("float32 local forward"), plain],
  ["32 whole (u)", measured("float32 forward"), inUnits], ["x floor ", overFloor("float32 forward"), plain],
  ["32 grad itself (u)", measured("float32 local gradients"), inUnits], ["32 grad whole (u)", measured("float32 gradients"), inUnits]];
const ON_NODES = ["float64 forward", "float64 node gradients", "float64 gradients", "float64 local forward", "float64 local gradients", "float32 forward", "float32 gradients", "float32 local forward", "float32 local gradients"];
function modules(name) {
  const found = data.cases[name];
  if (found.modules) return found.modules;
  const rows = new Map();
  for (const v of comparisons(name)) {
    if (!ON_NODES.includes(v.check)) continue;
    if (!rows.has(v.node)) rows.set(v.node, { name: v.name, by: {}, status: "PASS" });
    const row = rows.get(v.node);
    row.by[v.check] = v;
    if (v.status === "FAIL" || row.status === "PASS") row.status = v.status;
  }
  for (const row of rows.values()) row.kind = classOf(row.by);
  return found.modules = [...rows.values()];
}
function classOf(by) {
  const failed = check => by[check] && by[check].status === "FAIL" ? by[check] : null;
  if (failed("float64 local forward") || failed("float64 local gradients")) return "SEMANTIC-DIFF";
  const worse = failed("float32 local forward") || failed("float32 local gradients");
  return worse ? `PRECISION-DIFF(${worse.guilty})` : "OK";
}
function drawModules() {
  if (!byId("nodes").open || !data.cases[state.case]) return;
  const text = state.q.toLowerCase(), rows = modules(state.case);
  drawSorted(byId("modules"), MODULES, rows.filter(r => r.name.toLowerCase().includes(text)), null, row => showNode(row.name));
  drawTree(rows);
}
const levelOf = share => share === null ? "exact" : share > 1 ? "fail" : Math.min(5, Math.max(0, 6 + Math.floor(Math.log10(Math.max(share, 1e-9)))));
const greatest = (a, b) => a === null ? b : b === null ? a : Math.max(a, b);
const LOCAL = ON_NODES.filter(c => c.includes("local")), TOTAL = ON_NODES.filter(c => !c.includes("local"));
const shareOf = (row, checks) => checks.reduce((most, c) => greatest(most, row.by[c] ? (row.by[c].status === "FAIL" ? Math.max(2, row.by[c].share || 0) : row.by[c].share) : null), null);
let treeOf = "";
function drawTree(rows) {
  if (treeOf === state.case) return;
  treeOf = state.case;
  const fresh = () => ({ children: new Map(), local: null, total: null });
  const root = fresh();
  for (const row of rows) {
    const path = row.name.replace(/#\d+$/, "").split("/in")[0].replace(/(\[[^\]]*\])+$/, "").split(".");
    const mine = shareOf(row, LOCAL), all = shareOf(row, TOTAL);
    let here = root;
    for (const part of ["", ...path]) {
      if (part && !here.children.has(part)) here.children.set(part, fresh());
      here = part ? here.children.get(part) : here;
      here.local = greatest(here.local, mine); here.total = greatest(here.total, all);
    }
  }
  const percent = x => x === null ? "–" : x >= 2 ? "beyond" : `${(100 * x).toPrecision(2)}%`;
  const label = (name, n, path) => make("button", { type: "button", title: "by itself | whole run, of the limit", onclick: () => change({ q: path }) },
    make("i", { class: `k${levelOf(n.local)}` }), make("i", { class: `k${levelOf(n.total)}` }), name, make("small", { text: ` ${percent(n.local)} | ${percent(n.total)}` }));
  const draw = (name, n, path, depth) => {
    if (!n.children.size) return make("div", { class: "leaf" }, label(name, n, path));
    const branch = make("details", { open: depth < 1 || (n.local !== null && n.local > 1) }, make("summary", {}, label(name, n, path)));
    for (const [part, child] of n.children) branch.append(draw(part, child, path ? `${path}.${part}` : part, depth + 1));
    return branch;
  };
  byId("tree").replaceChildren(draw("all nodes", root, "", 0));
}
