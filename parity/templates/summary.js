"use strict";
// curves of both runs with the tube of copies, and the differences from PyTorch below
const data = JSON.parse(document.getElementById("data").textContent);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const least = list => list.reduce((a, b) => a === null || b === null ? null : Math.min(a, b));
const most = list => list.reduce((a, b) => a === null || b === null ? null : Math.max(a, b));

function plot(host, xs, lines, copies, height) {
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, font: "11px system-ui" };
  const few = xs.length < 40, values = [xs], series = [{ label: "at" }], bands = [];
  if (copies.length) {
    values.push(xs.map((_, k) => most(copies.map(c => c[k]))), xs.map((_, k) => least(copies.map(c => c[k]))));
    for (const label of ["copies, greatest", "copies, least"]) series.push({ label, stroke: "transparent", points: { show: false } });
    bands.push({ series: [1, 2], fill: `${colour("--one")}40` });
  }
  for (const [label, line, stroke] of lines) {
    values.push(line);
    series.push({ label, stroke: colour(stroke), width: 1.5, points: { show: few, size: 4 } });
  }
  new uPlot({ width: Math.max(260, host.clientWidth), height, bands, series, legend: { live: false }, scales: { x: { time: false } }, axes: [{ ...axis, size: 28 }, { ...axis, size: 58 }], cursor: { sync: { key: host.dataset.title } } }, values, host);
}
function draw() {
  for (const host of document.querySelectorAll("[data-curves]")) {
    const found = Object.entries(data[host.dataset.curves]).map(([title, curve]) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      caption.textContent = title; figure.dataset.title = title; figure.append(caption);
      return [figure, curve];
    });
    host.replaceChildren(...found.map(([figure]) => figure)); // all of them, so that each has its width
    for (const [figure, { x, sides: [a, b], copies }] of found) {
      const minus = list => list.map((v, k) => v === null || a[k] === null ? null : v - a[k]);
      plot(figure, x, [["PyTorch", a, "--one"], ["Jittor", b, "--two"]], copies, 200);
      plot(figure, x, [["Jittor - PyTorch", minus(b), "--two"]], copies.map(minus), 130);
    }
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let resized = 0;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 200); });
draw();
