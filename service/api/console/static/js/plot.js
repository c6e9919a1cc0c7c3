// Small plots in SVG. They are drawn anew for the width they get, so their words stay readable.

import { h, s } from "./dom.js";

const MARGIN = { top: 12, right: 14, bottom: 24, left: 40 };

/** A figure that calls `draw(width)`, which returns an SVG, whenever its width changes. */
function responsive(label, draw) {
  const figure = h("div", { class: "plot" });
  let drawn = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.round(contentRect.width);
    if (!width || width === drawn) return;
    drawn = width;
    const plot = draw(width);
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", label);
    figure.replaceChildren(plot);
  }).observe(figure);
  return figure;
}

const svg = (width, height, ...children) =>
  s("svg", { viewBox: `0 0 ${width} ${height}`, width, height }, children);

const scale = (from, to, start, end) => (value) =>
  to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start);

/** Round steps that span `low` to `high`: [-0.25, 0, 0.25, …]. */
export function ticks(low, high, wanted = 4) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((size) => size >= rough);
  const found = [];
  for (let n = Math.floor(low / step); n <= Math.ceil(high / step); n++) found.push(n * step);
  return found;
}

/**
 * Lines over time. `series`: [{name, points: [{at: Date, value, title}]}]; `marks`: [{at, text}]
 * are upright lines. Zero is drawn and named `zero`.
 */
export function timeline(label, series, { height = 220, zero = "chance", marks = [] } = {}) {
  const points = series.flatMap((one) => one.points);
  const values = [0, ...points.map((point) => point.value)];
  const steps = ticks(Math.min(...values), Math.max(...values));
  const times = points.map((point) => point.at.getTime());
  const [first, last] = [Math.min(...times), Math.max(...times)];
  return responsive(label, (width) => {
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const x = scale(first, last, MARGIN.left + 6, right - 6);
    const y = scale(steps[0], steps.at(-1), bottom, MARGIN.top);
    return svg(
      width,
      height,
      steps.map((step) => rule(step, y(step), right, zero)),
      dates(first, last, x, width, height),
      marks.map(({ at, text }) => upright(x(at.getTime()), bottom, text)),
      series.map((one, number) => line(one, number, x, y)),
    );
  });
}

function rule(step, at, right, zero) {
  const isZero = Math.abs(step) < 1e-9;
  const digits = Number.isInteger(step) ? 0 : Math.abs(step * 10 - Math.round(step * 10)) < 1e-9 ? 1 : 2;
  return [
    s("line", { class: isZero ? "zero" : "grid", x1: MARGIN.left, x2: right, y1: at, y2: at }),
    s("text", { x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }, isZero ? "0" : step.toFixed(digits)),
    isZero && zero && s("text", { x: right, y: at - 5, "text-anchor": "end" }, zero),
  ];
}

function dates(first, last, x, width, height) {
  if (first === last) return s("text", { x: x(first), y: height - 6, "text-anchor": "middle" }, day(first));
  const count = Math.max(2, Math.min(6, Math.floor(width / 130)));
  const seen = new Set();
  return Array.from({ length: count }, (_, n) => first + ((last - first) * n) / (count - 1))
    .filter((at) => !seen.has(day(at)) && seen.add(day(at)))
    .map((at) =>
      s(
        "text",
        { x: x(at), y: height - 6, "text-anchor": at === first ? "start" : at === last ? "end" : "middle" },
        day(at),
      ),
    );
}

const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const day = (at) => DAY.format(at);

function upright(at, bottom, text) {
  return [
    s("line", { class: "mark", x1: at, x2: at, y1: MARGIN.top, y2: bottom }),
    s("text", { x: at + 4, y: MARGIN.top + 8 }, text),
  ];
}

function line({ points }, number, x, y) {
  const kind = number ? `series-${number}` : "";
  const path = points.map((p, n) => `${n ? "L" : "M"}${x(p.at.getTime())} ${y(p.value)}`).join("");
  return [
    s("path", { class: `line ${kind}`, d: path }),
    points.map((p) =>
      s("circle", { class: `dot ${kind}`, cx: x(p.at.getTime()), cy: y(p.value), r: 3.5 }, s("title", {}, p.title)),
    ),
  ];
}

/** What the lines of a `timeline` are, by colour. */
export function key(names) {
  return h(
    "ul",
    { class: "key plot" },
    names.map((name, number) =>
      h(
        "li",
        {},
        s("svg", { viewBox: "0 0 16 8", "aria-hidden": "true" }, s("path", { class: `line ${number ? `series-${number}` : ""}`, d: "M0 4H16" })),
        name,
      ),
    ),
  );
}

/** Counts, one bar each, from left to right. */
export function bars(label, counts, { height = 96, from, to } = {}) {
  const most = Math.max(1, ...counts);
  return responsive(label, (width) => {
    const each = width / counts.length;
    const bottom = height - 20;
    const y = scale(0, most, bottom, 6);
    return svg(
      width,
      height,
      s("line", { class: "grid", x1: 0, x2: width, y1: bottom, y2: bottom }),
      counts.map((count, n) =>
        s(
          "rect",
          { class: "bar", x: n * each + 1, width: Math.max(1, each - 2), y: y(count), height: bottom - y(count), rx: 1.5 },
          s("title", {}, String(count)),
        ),
      ),
      s("text", { x: 0, y: height - 4 }, from),
      s("text", { x: width, y: height - 4, "text-anchor": "end" }, to),
    );
  });
}

/** A difference with the bound that a gate asks for, and the limit that it must stay above. */
export function difference(label, { mean, lower, limit }) {
  const height = 44;
  const reach = Math.max(Math.abs(mean), Math.abs(lower), Math.abs(limit)) * 1.25;
  return responsive(label, (width) => {
    const x = scale(-reach, reach, 8, Math.min(width, 460) - 8);
    const kind = lower > limit ? "" : "bad";
    return svg(
      width,
      height,
      s("line", { class: "grid", x1: x(-reach), x2: x(reach), y1: 14, y2: 14 }),
      s("line", { class: "zero", x1: x(0), x2: x(0), y1: 2, y2: 26 }),
      s("text", { x: x(0), y: 40, "text-anchor": "middle" }, "0"),
      s("line", { class: "limit", x1: x(limit), x2: x(limit), y1: 2, y2: 26 }),
      s("text", { x: x(limit), y: 40, "text-anchor": "middle" }, "limit"),
      s("line", { class: `interval ${kind}`, x1: x(lower), x2: x(mean), y1: 14, y2: 14 }),
      s("circle", { class: `dot ${kind && "series-3"}`, cx: x(mean), cy: 14, r: 5 }),
    );
  });
}
