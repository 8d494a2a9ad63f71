// What moves in the pictures: the point on the loss surface, the loss curve, the data with the fit.
import { shown } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";

export function drawn(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

// The axes of a picture: numbers to places and back. Python wrote "low high kind" beside the frame.
class Frame {
  constructor(picture) {
    this.inside = picture.querySelector("svg.plot");
    const box = this.inside.viewBox.baseVal;
    this.box = box;
    const axis = text => text.split(" ");
    this.x = this.scale(...axis(this.inside.dataset.x), box.x, box.x + box.width);
    this.y = this.scale(...axis(this.inside.dataset.y), box.y + box.height, box.y);
  }

  scale(low, high, kind, start, end) {
    const forward = { linear: v => v, log: Math.log10, steps: v => Math.log10(1 + v) }[kind];
    const a = forward(Number(low)), b = forward(Number(high));
    const scale = value => start + ((end - start) * (forward(value) - a)) / (b - a);
    scale.back = place => a + ((b - a) * (place - start)) / (end - start);
    return scale;
  }

  // The numbers under the pointer.
  under(event) {
    const point = new DOMPoint(event.clientX, event.clientY);
    const { x, y } = point.matrixTransform(this.inside.ownerSVGElement.getScreenCTM().inverse());
    return [this.x.back(x), this.y.back(y)];
  }
}

const path = points => "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

// The point on the plane that the surface shows; dragging it moves the parameters.
export function surface(root, descent, plane, changed) {
  const picture = root.getElementById("gs-surface") ?? root.getElementById("gs-slice");
  if (!picture || !plane) return () => {};
  const frame = new Frame(picture), flat = plane.directions.length === 2;
  const { origin, directions } = plane;
  const place = x => directions.map(d => d.reduce((sum, entry, k) => sum + entry * (x[k] - origin[k]), 0));
  for (const old of frame.inside.querySelectorAll(".halo, .descent, .start, circle")) old.remove();
  for (const word of picture.querySelectorAll(":scope > text[paint-order]")) word.remove();
  const start = drawn("circle", { r: 5, class: "gs-start" });
  const halo = drawn("path", { class: "gs-halo" }), way = drawn("path", { class: "gs-way" });
  const arrow = drawn("path", { class: "gs-arrow" }), next = drawn("circle", { r: 3.5, class: "gs-next" });
  const point = drawn("circle", { r: 8, class: "gs-point", tabindex: 0, role: "application" });
  point.setAttribute("aria-label", "the point on the loss surface: drag it, or move it with the arrow keys");
  frame.inside.append(halo, way, start, arrow, next, point);
  let trail = [place(descent.x)];

  const across = u => frame.x(u[0]);
  const up = (u, loss) => (flat ? frame.y(u[1]) : frame.y(loss));
  const pixels = u => [across(u), up(u, heights.get(u))];
  const heights = new WeakMap();

  function draw() {
    const here = place(descent.x), { value, gradient } = descent.whole();
    heights.set(here, value);
    if (!descent.updates) trail = [here];
    else if (trail.length < 5000) trail.push(here);
    for (const u of trail) if (!heights.has(u)) heights.set(u, value);
    const [x, y] = pixels(here);
    const points = trail.map(pixels);
    way.setAttribute("d", path(points));
    halo.setAttribute("d", path(points));
    start.setAttribute("cx", points[0][0]);
    start.setAttribute("cy", points[0][1]);
    for (const [name, at] of [["cx", x], ["cy", y]]) point.setAttribute(name, at);
    // Where the next step of plain gradient descent goes; far ones are cut to what can be seen.
    const rate = descent.settings.rate ?? descent.rate ?? 0.1;
    const ahead = place(descent.x.map((entry, k) => entry - rate * gradient[k]));
    heights.set(ahead, value);
    const [ax, ay] = flat ? pixels(ahead) : [across(ahead), y];
    const far = Math.hypot(ax - x, ay - y), reach = Math.min(1, 400 / far || 0);
    const tip = [x + (ax - x) * reach, y + (ay - y) * reach];
    arrow.setAttribute("d", far > 1 ? path([[x, y], tip]) : "");
    next.setAttribute("cx", tip[0]);
    next.setAttribute("cy", tip[1]);
    next.style.display = far > 6 ? "" : "none";
  }

  function move(u) {
    const here = place(descent.x), x = Float64Array.from(descent.x);
    directions.forEach((d, n) => d.forEach((entry, k) => (x[k] += entry * (u[n] - here[n]))));
    descent.put(x);
    trail.push(place(x));
    changed();
  }

  const drag = event => move(frame.under(event).slice(0, directions.length));
  frame.inside.style.touchAction = "none";
  frame.inside.style.cursor = "crosshair";
  frame.inside.addEventListener("pointerdown", event => {
    frame.inside.setPointerCapture(event.pointerId);
    drag(event);
    event.preventDefault();
  });
  frame.inside.addEventListener("pointermove", event => {
    if (frame.inside.hasPointerCapture(event.pointerId)) drag(event);
  });
  point.addEventListener("keydown", event => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!by) return;
    const here = place(descent.x);
    const [x, y] = [across(here) + 4 * by[0], flat ? frame.y(here[1]) - 4 * by[1] : 0];
    move(flat ? [frame.x.back(x), frame.y.back(y)] : [frame.x.back(x)]);
    event.preventDefault();
    event.stopPropagation();
  });
  return draw;
}

// Round numbers between low and high.
function ticks(low, high, most = 6) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10, 20].map(m => m * power).find(m => (high - low) / m < most);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) found.push(k * step);
  return found;
}

// The loss after each step, drawn anew as it grows.
export function curve(root, descent, worth) {
  const picture = root.getElementById("gs-loss");
  if (!picture) return () => {};
  const baseline = picture.querySelector(".baseline")?.dataset.value;
  const named = [...picture.querySelectorAll(":scope > text[paint-order]")].map(text => text.textContent);
  const words = named.find(text => text.includes("  "));
  const titles = [...picture.querySelectorAll(":scope > title, :scope > desc")];
  const [left, right, top, bottom] = [50, 398, 30, 276];

  return function draw() {
    const history = descent.history.map(([step, loss]) => [step, worth * loss]).filter(([, loss]) => Number.isFinite(loss));
    if (!history.length) return picture.replaceChildren(...titles);
    const losses = history.map(([, loss]) => loss).concat(baseline ? [Number(baseline)] : []);
    const least = Math.min(...losses), most = Math.max(...losses), last = Math.max(history.at(-1)[0], 10);
    const wide = least > 0 && most / least > 20;
    const low = wide ? least / 1.25 : Math.min(0, least), high = wide ? most * 1.15 : most * 1.06 || 1;
    const height = v => (wide ? Math.log10(v / low) / Math.log10(high / low) : (v - low) / (high - low));
    const slow = last > 50, along = s => (slow ? Math.log10(1 + s) / Math.log10(1 + last) : s / last);
    const at = ([step, loss]) => [left + (right - left) * along(step), bottom - (bottom - top) * height(loss)];
    const decades = (from, to) => [1, 2, 5].flatMap(m => Array.from({ length: 24 }, (_, k) => m * 10 ** (k - 12)))
      .filter(v => v >= from && v <= to).sort((a, b) => a - b).filter((v, k, all) => all.length < 8 || /^1/.test(v.toExponential()));
    const rows = wide ? decades(low, high) : ticks(low, high);
    const columns = slow ? [0, ...decades(1, last)] : ticks(0, last);
    const body = [drawn("line", { x1: left, y1: bottom, x2: right, y2: bottom, class: "gs-axis" })];
    for (const v of rows) {
      const y = at([0, v])[1];
      body.push(drawn("line", { x1: left, y1: y, x2: right, y2: y, class: "gs-grid" }));
      body.push(drawn("text", { x: left - 7, y: y + 4, class: "gs-tick", "text-anchor": "end" }, shown(v, 3)));
    }
    for (const s of columns) {
      const x = at([s, least])[0];
      body.push(drawn("line", { x1: x, y1: bottom, x2: x, y2: bottom + 4, class: "gs-axis" }));
      body.push(drawn("text", { x, y: bottom + 18, class: "gs-tick", "text-anchor": "middle" }, shown(s, 4)));
    }
    body.push(drawn("text", { x: (left + right) / 2, y: bottom + 37, class: "gs-label", "text-anchor": "middle" }, "step"));
    body.push(drawn("text", { x: 4, y: top - 13, class: "gs-label" }, "loss"));
    if (baseline) {
      const y = at([0, Number(baseline)])[1];
      body.push(drawn("line", { x1: left, y1: y, x2: right, y2: y, class: "gs-baseline" }));
      body.push(drawn("text", { x: right, y: y - 7, class: "gs-note", "text-anchor": "end" }, words ?? ""));
    }
    const many = Math.ceil(history.length / 800);
    const points = history.filter((_, k) => k % many === 0 || k === history.length - 1).map(at);
    body.push(drawn("path", { d: path(points), class: "gs-loss" }));
    const [x, y] = points.at(-1);
    body.push(drawn("circle", { cx: x, cy: y, r: 4.5, class: "gs-here" }));
    picture.replaceChildren(...titles, ...body);
  };
}

// The data with what the network makes of them now.
export function fit(root, descent, model, formulas) {
  const picture = root.getElementById("gs-fit"), { kind, rows, X, beside } = model.fitted ?? {};
  if (!picture || !kind || !formulas.predict) return () => {};
  const unit = model.units.target, sizes = { ...model.sizes };
  const size = Object.keys(sizes).find(name => model.rowSize === name);
  if (size) sizes[size] = rows;
  const answers = () => {
    const given = { ...descent.data, ...descent.parameters(), [model.features]: X };
    const found = formulas.predict(given, sizes);
    return unit ? found.map((v, k) => v * unit.size + unit.shift[k % unit.shift.length]) : found;
  };
  if (kind === "classes") {
    const cells = [...picture.querySelectorAll("[data-part]")];
    const classes = Math.max(2, model.names.classes.length);
    return () => {
      const found = answers(), wide = found.length / rows, counts = {}, sums = {};
      for (let n = 0; n < rows; n++) {
        let best = 0;
        if (wide === 1) best = found[n] > 0.5 ? 1 : 0;
        else for (let k = 1; k < wide; k++) if (found[n * wide + k] > found[n * wide + best]) best = k;
        counts[`${beside[n]}-${best}`] = (counts[`${beside[n]}-${best}`] ?? 0) + 1;
        sums[beside[n]] = (sums[beside[n]] ?? 0) + 1;
      }
      for (const cell of cells) {
        const part = cell.dataset.part, count = counts[part] ?? 0, [truth] = part.split("-");
        cell.setAttribute("fill-opacity", count ? 0.06 + (0.74 * count) / sums[truth] : 0.03);
        const text = cell.nextElementSibling;
        if (text?.classList.contains("count")) text.textContent = count || "";
      }
    };
  }
  const frame = new Frame(picture);
  if (kind === "curve") {
    const line = frame.inside.querySelector(".fit.curve");
    return () => {
      const found = answers();
      line.setAttribute("d", path(Array.from(beside, (x, k) => [frame.x(x), frame.y(found[k])])));
    };
  }
  const dots = [...frame.inside.querySelectorAll(".data circle")];
  return () => {
    const found = answers();
    dots.forEach((dot, k) => dot.setAttribute("cy", frame.y(found[k])));
  };
}
