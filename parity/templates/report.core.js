"use strict";
// what all parts use: the data, the address as the page's state, and small makers of elements
const data = JSON.parse(document.getElementById("data").textContent);
const U = 2 ** -24, KINDS = Object.keys(data.kinds);
const byId = id => document.getElementById(id);
const scientific = x => x === null || x === undefined ? "" : x === 0 ? "0" : x.toExponential(1);

function make(tag, given = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) found[name] = value;
    else if (name === "text") found.textContent = value;
    else if (value !== null && value !== undefined && value !== false) found.setAttribute(name, value === true ? "" : value);
  }
  found.append(...children.filter(c => c !== null && c !== ""));
  return found;
}

// a comparison, from a row of the data
const numbers = new Map(data.checks.map((name, k) => [name, k]));
function comparisons(name) {
  const found = data.cases[name];
  if (!found.made) found.made = found.rows.map(([node, check, status, measured = null, limit = null, floor = null, more = {}]) => {
    if (floor !== null && typeof floor === "object") more = floor, floor = null;
    return { node, name: found.nodes[node], check: data.checks[check], kind: data.of[check], status: data.statuses[status],
      measured, limit, floor, share: measured === null || !limit ? null : Math.abs(measured) / limit,
      why: more.m === undefined ? "" : data.texts[more.m], guilty: more.g || "", sides: more.s || [], values: more.v || null, script: more.x || "" };
  });
  return found.made;
}
const worstOf = list => list.reduce((a, b) => b.share !== null && (!a || b.share > a.share) ? b : a, null);

// the state is the address: #case=...&node=...&at=SECTION, so that whatever is seen can be linked
const DEFAULTS = { case: "", view: "forward", node: "", kind: "", status: "", q: "", find: "", sort: "", at: "", open: "" };
const firstCase = Object.keys(data.cases).find(n => data.cases[n].rows.some(r => r[2] === 1)) ||
  Object.keys(data.cases).find(n => data.cases[n].forward) || Object.keys(data.cases)[0] || "";
let state = { ...DEFAULTS }, chosen = false; // whether anybody asked for this case
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS)) if (given.has(key)) found[key] = given.get(key);
  if (!["forward", "backward", "parameters"].includes(found.view)) found.view = DEFAULTS.view;
  chosen = chosen || Boolean(data.cases[found.case]);
  if (!data.cases[found.case]) found.case = firstCase;
  return found;
}
function addressOf(of) {
  const kept = Object.entries(of).filter(([key, value]) => value !== DEFAULTS[key] && (key !== "case" || chosen || value !== firstCase));
  return "#" + new URLSearchParams(kept);
}
const listeners = [];
function change(changes, remember = false) {
  const before = state;
  chosen = chosen || Boolean(changes.case);
  state = { ...state, ...changes };
  const address = addressOf(state);
  if (address !== location.hash && !(address === "#" && !location.hash)) history[remember ? "pushState" : "replaceState"](null, "", address === "#" ? location.pathname + location.search : address);
  for (const hear of listeners) hear(before);
}
window.addEventListener("hashchange", () => {
  const given = new URLSearchParams(location.hash.slice(1)), before = state, found = readAddress();
  // a link inside of the page changes what it names, and leaves the rest
  state = { ...state, node: given.has("case") ? "" : state.node, kind: "", status: "", q: "" };
  for (const key of Object.keys(DEFAULTS)) if (given.has(key)) state[key] = found[key];
  state.open = [...new Set([...state.open.split(","), state.at])].filter(Boolean).join(",");
  history.replaceState(null, "", addressOf(state));
  for (const hear of listeners) hear(before);
  arrive();
});
function arrive() {
  const section = state.at && byId(state.at);
  if (!section) return;
  if (section.tagName === "DETAILS") section.open = true;
  section.scrollIntoView({ block: "start" });
}
