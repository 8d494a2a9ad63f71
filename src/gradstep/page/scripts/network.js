// The network with the numbers of one example: the signal on its way forward, the gradient on its way back.
import { shown } from "./numbers.js";
import { drawn } from "./pictures.js";

const PAUSE = 420; // milliseconds between two stations

// `worth(key)` are the numbers of a key, `row()` is the example shown. Dragging a weight calls `changed`.
export function network(root, descent, model, worth, row, changed) {
  const pictures = ["gs-network", "gs-network-narrow"].map(id => root.getElementById(id)).filter(Boolean);
  const layers = model.network;
  if (!pictures.length || !layers.length) return { draw() {}, forward() {}, backward() {} };
  const one = layers.length === 1 && pictures[0].querySelector('[data-part="z-0"]') !== null;
  const parts = new Map();
  for (const picture of pictures) {
    for (const element of picture.querySelectorAll("[data-part]")) {
      const part = element.dataset.part;
      parts.set(part, [...(parts.get(part) ?? []), element]);
    }
  }

  // Numbers of the example: entry `unit` of what has a row for each example.
  const entry = (key, unit = 0) => {
    const found = key === null ? null : worth(key);
    if (found === null || found === undefined) return NaN;
    if (typeof found === "number") return found;
    const shape = model.values[key].shape;
    const width = model.values[key].rows ? shape.slice(1).reduce((a, b) => a * b, 1) : found.length;
    return found[(model.values[key].rows ? row() * width : 0) + unit] ?? NaN;
  };
  // A first layer that looks up: which row of its weights the example has.
  const { looksUp, places } = layers[0];
  const lookedUp = () => (places ? worth(places)[row()] : row());
  const features = () => {
    if (looksUp) return [lookedUp() + (places ? 0 : 1)];
    const X = descent.data[model.features], width = X.length / model.rows;
    return X.subarray(row() * width, (row() + 1) * width);
  };
  const weightPlace = (layer, i, j) => {
    const { weight, transposed } = layers[layer], shape = model.parameters[weight].shape;
    const [from] = descent.places[weight];
    if (layer === 0 && looksUp) return from + lookedUp() * shape[1] + j;
    if (shape.length < 2) return from + i;
    return from + (transposed ? j * shape[1] + i : i * shape[1] + j);
  };

  // What stands at each part: its value, the slope of the loss at it, and the local slope to the next station.
  function neuron() {
    const { bias, sum, out, slope, outSlope, local: bend } = layers[0];
    const x = features(), z = entry(sum), b = bias ? descent.x[descent.places[bias][0]] : 0;
    const dz = entry(slope), dy = entry(outSlope), found = new Map();
    const local = bend ? entry(bend) : dz / dy;
    found.set("y-0", { value: entry(out), slope: dy });
    found.set("z-0", { value: z, slope: dz, local, upstream: dy });
    found.set("b-0", { value: b, slope: dz, place: descent.places[bias]?.[0] });
    found.set("s-0", { value: z - b, slope: dz });
    x.forEach((entry, k) => {
      const place = weightPlace(0, k, 0), w = descent.x[place];
      found.set(`p-${k}`, { value: w * entry, slope: dz });
      found.set(`w-${k}`, { value: w, slope: dz * entry, local: entry, upstream: dz, place });
      found.set(`x-${k}`, { value: entry });
    });
    return found;
  }

  function layered() {
    const found = new Map();
    for (const part of parts.keys()) {
      const [k, i, j] = part.split("-").map(Number);
      if (j === undefined) {
        const value = k ? entry(layers[k - 1].out, i) : features()[i];
        const after = k ? entry(layers[k - 1].outSlope ?? layers[k - 1].slope, i) : NaN;
        found.set(part, { value, slope: after });
      } else {
        const place = weightPlace(k - 1, i, j), before = k > 1 ? entry(layers[k - 2].out, i) : looksUp ? 1 : features()[i];
        const upstream = entry(layers[k - 1].slope, j);
        found.set(part, { value: descent.x[place], slope: upstream * before, local: before, upstream, place, edge: true });
      }
    }
    return found;
  }

  let back = false;
  function draw() {
    const found = one ? neuron() : layered();
    let widest = 0;
    if (!one) for (const { edge, value } of found.values()) if (edge) widest = Math.max(widest, Math.abs(value));
    const truth = descent.data[model.target]?.[row()];
    for (const { firstChild } of parts.get("truth-0") ?? []) firstChild.textContent = `in truth ${shown(truth, 3)}`;
    for (const [part, elements] of parts) {
      const now = found.get(part);
      if (!now) continue;
      for (const element of elements) {
        if (element.tagName === "line") {
          if (!now.edge) continue;
          const share = widest ? Math.abs(now.value) / widest : 0;
          element.setAttribute("stroke-width", (0.4 + 3.2 * share).toFixed(2));
          element.setAttribute("opacity", (0.15 + 0.7 * share).toFixed(2));
          element.classList.toggle("negative", now.value < 0);
          continue;
        }
        write(element, now);
      }
    }
  }

  function write(group, { value, slope, local, upstream }) {
    let text = group.querySelector(".value");
    if (!text && group.classList.contains("node") && !group.querySelector("text")) {
      const circle = group.querySelector("circle");
      text = drawn("text", { class: "value", "text-anchor": "middle", x: circle.getAttribute("cx"), y: Number(circle.getAttribute("cy")) + 4, "font-size": 11 });
      group.append(text);
    } else if (!text && group.classList.contains("node")) {
      text = group.querySelector("text"); // there is room for a number or for its name
      text.replaceChildren();
      for (const [key, to] of Object.entries({ class: "value", "font-size": 11, "font-style": "normal", "font-family": "system-ui, sans-serif" })) text.setAttribute(key, to);
    }
    // There is little room in a small circle.
    if (text) text.textContent = one ? shown(value, 3) : value && Math.abs(value) < 0.005 ? "≈ 0" : shown(value, 2);
    if (!Number.isFinite(slope)) return;
    const box = group.querySelector("rect, circle"), round = box.tagName === "circle";
    const middle = Number(round ? box.getAttribute("cx") : Number(box.getAttribute("x")) + box.getAttribute("width") / 2);
    const low = round ? Number(box.getAttribute("cy")) + Number(box.getAttribute("r")) : Number(box.getAttribute("y")) + Number(box.getAttribute("height"));
    const high = round ? box.getAttribute("cy") - box.getAttribute("r") : Number(box.getAttribute("y"));
    const down = group.ownerSVGElement.id === "gs-network-narrow", narrow = down && one; // notes stand beside
    const noted = (kind, y, text) => {
      let note = group.querySelector(`.${kind.split(" ")[0]}`);
      if (!note) {
        const left = round ? box.getAttribute("cx") - box.getAttribute("r") : Number(box.getAttribute("x"));
        const beside = { x: left - 8, y: (low + high) / 2 + (kind === "chain" ? 14 : 1), "text-anchor": "end" };
        note = drawn("text", { class: kind, ...(narrow ? beside : { x: middle, y, "text-anchor": "middle" }) });
        group.append(note);
      }
      note.textContent = text;
    };
    if (one) noted("slope", high - 7, `∂ ${shown(slope, 3)}`);
    else noted("slope small", high - 2, down ? shown(slope, 1) : `∂ ${shown(slope, 2)}`);
    if (Number.isFinite(upstream) && Number.isFinite(local)) {
      noted("chain", low + 13, `= ${shown(upstream, 3)} · ${shown(local, 3)}`);
    }
    if (group.hasAttribute("aria-valuenow")) group.setAttribute("aria-valuenow", value);
  }

  function named(part) {
    const [k, i, j] = part.split("-").map(Number);
    return `weight ${layers[k - 1].weight} from ${i + 1} to ${j + 1}; page up and page down lead to the others`;
  }

  // A weight or a bias is dragged sideways, or moved by the arrow keys.
  function adjustable(element, part) {
    const place = () => (one ? neuron() : layered()).get(part)?.place;
    const step = () => 0.01 * Math.max(0.5, Math.abs(descent.x[place()]));
    const move = by => {
      const x = Float64Array.from(descent.x);
      x[place()] += by;
      descent.put(x);
      changed();
    };
    // Of many weights one is reached by the tab key, and the others from there.
    const many = element.ownerSVGElement.getElementsByClassName("grip");
    element.classList.add("adjustable");
    element.setAttribute("tabindex", one || many[0] === element ? 0 : -1);
    element.setAttribute("role", "slider");
    element.setAttribute("aria-valuenow", descent.x[place()] ?? 0);
    element.setAttribute("aria-label", element.dataset.name ?? named(part));
    let from = null;
    element.addEventListener("pointerdown", event => {
      element.setPointerCapture(event.pointerId);
      from = event.clientX;
      event.preventDefault();
    });
    element.addEventListener("pointermove", event => {
      if (!element.hasPointerCapture(event.pointerId) || from === null) return;
      move((event.clientX - from) * step());
      from = event.clientX;
    });
    element.addEventListener("keydown", event => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      const turn = one ? 0 : { PageDown: 1, PageUp: -1 }[event.key];
      if (turn) many[([...many].indexOf(element) + turn + many.length) % many.length].focus();
      else if (by) move(5 * by * step());
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
  for (const [part, elements] of parts) {
    const movable = one ? /^[wb]-/.test(part) : part.split("-").length === 3;
    for (const element of elements) {
      if (!movable || (one && element.tagName === "line")) continue;
      if (element.tagName === "line") {
        const wide = element.cloneNode();
        wide.removeAttribute("opacity");
        wide.setAttribute("stroke-width", 9);
        wide.setAttribute("class", "grip");
        element.after(wide);
        const title = drawn("title");
        wide.append(title);
        wide.addEventListener("pointerenter", () => {
          const { value, slope, local, upstream } = layered().get(part);
          const chain = Number.isFinite(slope) ? `; ∂ ${shown(slope, 3)} = ${shown(upstream, 3)} · ${shown(local, 3)}` : "";
          title.textContent = `${layers[part.split("-")[0] - 1].weight} ${shown(value)}${chain}; drag it`;
        });
        adjustable(wide, part);
      } else adjustable(element, part);
    }
  }

  // Stations light up one after the other.
  let running = 0;
  async function run(stations) {
    const mine = ++running;
    for (const elements of parts.values()) for (const element of elements) element.classList.remove("lit");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (const station of stations) {
      if (mine !== running) return;
      for (const part of station) for (const element of parts.get(part) ?? []) element.classList.add("lit");
      if (!still) await new Promise(after => setTimeout(after, PAUSE));
    }
  }
  const names = [...parts.keys()];
  const starting = letter => names.filter(part => part.startsWith(letter));
  const forwards = one
    ? [starting("x-"), starting("w-"), starting("p-"), ["s-0"], ["b-0", "z-0"], ["y-0"]]
    : Array.from({ length: layers.length + 1 }, (_, k) => names.filter(part => part.startsWith(`${k}-`)));
  const show = on => {
    back = on;
    for (const picture of pictures) picture.classList.toggle("back", back);
  };
  return {
    draw,
    forward() {
      show(false);
      return run(forwards);
    },
    backward() {
      show(true);
      return run([...forwards].reverse().filter(station => station.some(part => !part.startsWith("x-"))));
    },
  };
}
