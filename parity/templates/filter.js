"use strict";
// rows of all tables that hold every word that is typed; what is typed is in the address
const rows = [...document.querySelectorAll("tbody tr")].filter(row => !row.closest(".matrix"));
const texts = rows.map(row => `${row.dataset.words || ""} ${row.textContent}`.toLowerCase());
const box = document.getElementById("find"), count = document.getElementById("count");
function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let kept = 0;
  rows.forEach((row, k) => { row.hidden = !words.every(word => texts[k].includes(word)); kept += !row.hidden; });
  count.textContent = `${kept} of ${rows.length}`;
  if (words.length) for (const section of document.querySelectorAll("details.section")) section.open = [...section.querySelectorAll("tbody tr")].some(row => !row.hidden);
  history.replaceState(null, "", box.value ? `#${encodeURIComponent(box.value)}` : location.pathname + location.search);
}
function begin() {
  let given = "";
  try { given = decodeURIComponent(location.hash.slice(1)); } catch { /* an address that somebody cut */ }
  const section = given && document.getElementById(given);
  if (section) { section.open = true; count.textContent = `${rows.length}`; } else { box.value = given; filter(); }
}
box.addEventListener("input", filter);
addEventListener("hashchange", begin);
begin();
