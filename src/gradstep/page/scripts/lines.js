// The lines of the derivation with their numbers: beside each line, on a card at the pointer, and one at a time.
import { placeOf, shown } from "./numbers.js";

const MOST_BARS = 48, MOST_CELLS = 400;

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// Numbers as a picture of words and small bars; `chosen` is the row of the example shown.
function pictured(numbers, shape, chosen) {
  if (shape.length === 0 || numbers.length === 1) return [element("span", "figure", shown(numbers[0] ?? numbers))];
  if (shape.length === 1 && numbers.length <= 4) {
    return [element("span", "figure", `(${Array.from(numbers, v => shown(v, 3)).join(", ")})`)];
  }
  const size = Math.max(...numbers.map(Math.abs), Number.MIN_VALUE);
  const many = shape.length === 1 ? numbers.length <= MOST_BARS : numbers.length <= MOST_CELLS && shape.length === 2;
  const range = `${shown(Math.min(...numbers), 3)} … ${shown(Math.max(...numbers), 3)}`;
  if (!many) return [element("span", "figure", range)];
  const grid = element("span", shape.length === 1 ? "bars" : "cells");
  if (shape.length === 2) grid.style.gridTemplateColumns = `repeat(${shape[1]}, 1fr)`;
  numbers.forEach((value, k) => {
    const cell = element("i", value < 0 ? "below" : "above");
    if (shape.length === 1) cell.style.height = `${(50 * Math.abs(value)) / size}%`;
    else cell.style.opacity = 0.08 + (0.92 * Math.abs(value)) / size;
    if (chosen !== null && placeOf(k, shape)[0] === chosen) cell.classList.add("chosen");
    grid.append(cell);
  });
  grid.setAttribute("role", "img");
  grid.setAttribute("aria-label", `${numbers.length} numbers from ${range}`);
  return [grid, element("span", "figure", range)];
}

// `root` is the document or the shadow root that the lines stand in; listening ends with the `signal`.
export function lines(root, model, worth, row, signal) {
  const numbers = root.getElementById("numbers");
  const places = [...root.querySelectorAll("[data-worth]")];
  const card = root.getElementById("card");
  let open = null;

  const asArray = found => (typeof found === "number" ? [found] : found);
  const rowOf = (found, shape) => {
    const width = shape.slice(1).reduce((a, b) => a * b, 1);
    return found.subarray(row() * width, (row() + 1) * width);
  };

  function fill(place, key, entry) {
    const known = model.values[key], found = worth(key);
    if (!known || found === undefined || found === null) return place.replaceChildren();
    let values = asArray(found), shape = known.shape, before = known.note ? `${known.note}: ` : "= ";
    if (entry && known.rows) {
      values = rowOf(found, shape);
      shape = shape.slice(1);
      before = `row ${row() + 1}: `;
    }
    place.replaceChildren(element("span", "quiet", before), ...pictured(values, shape, !entry && known.rows ? row() : null));
  }

  // Only lines in sight are filled: the others when they come into it.
  const inSight = new Set();
  const watcher = new IntersectionObserver(changes => {
    for (const { target, isIntersecting } of changes) {
      const place = target.querySelector("[data-worth]");
      if (isIntersecting) inSight.add(place);
      else inSight.delete(place);
      if (isIntersecting) one(place);
    }
  }, { rootMargin: "200px" });
  for (const place of places) watcher.observe(place.parentElement);
  function one(place) {
    const on = numbers?.checked ?? true;
    place.hidden = !on;
    if (on) fill(place, place.dataset.worth, "entry" in place.dataset);
  }

  function draw() {
    for (const place of inSight) one(place);
    if (open) show(open);
  }

  function show(target) {
    const key = target.dataset.k, known = model.values[key], found = worth(key);
    if (!known || found === undefined || found === null) return;
    open = target;
    const head = element("p", "head"), values = asArray(found);
    head.append(element("b", "", known.title), element("span", "quiet", known.shape.length ? ` ${known.sizes} = ${known.shape.join("×")}` : ` a number ${known.note}`));
    const parts = [head];
    if (known.rows && known.shape.length <= 2) {
      const mine = element("p");
      mine.append(element("span", "quiet", `row ${row() + 1}: `), ...pictured(rowOf(found, known.shape), known.shape.slice(1), null));
      parts.push(mine);
    }
    const all = element("p");
    if (known.rows) all.append(element("span", "quiet", "all rows: "));
    all.append(...pictured(values, known.shape, known.rows ? row() : null));
    parts.push(all);
    card.replaceChildren(...parts);
    card.hidden = false;
    card.style.left = card.style.top = "0px";
    const box = target.getBoundingClientRect(), zero = card.getBoundingClientRect(); // a notebook may shift its cells
    const below = box.bottom + 8 + card.offsetHeight < innerHeight;
    const left = Math.max(8, Math.min(box.left, innerWidth - card.offsetWidth - 8));
    const top = below ? box.bottom + 8 : Math.max(8, box.top - card.offsetHeight - 8);
    card.style.left = `${left - zero.left}px`;
    card.style.top = `${top - zero.top}px`;
  }

  function hide() {
    open = null;
    card.hidden = true;
  }
  root.addEventListener("pointerover", event => {
    const target = event.target.closest?.("[data-k]");
    if (target) show(target);
    else if (open) hide();
  });
  addEventListener("scroll", hide, { passive: true, capture: true, signal });
  root.addEventListener("keydown", event => event.key === "Escape" && hide());
  // The browser's own hint would lie over the card.
  for (const symbol of root.querySelectorAll("[data-k][title]")) symbol.removeAttribute("title");
  numbers?.addEventListener("change", () => places.forEach(one));
  copying(root);
  return { draw, hide, ...teaching(root) };
}

function copying(root) {
  root.addEventListener("click", async event => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const said = (button.dataset.said ??= button.textContent);
    await copied(button.dataset.copy);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = said), 1500);
  });
}

// To the clipboard; from a file some browsers allow only the old way.
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// One line more with each press; and the same as slides, where a symbol that stays moves to its new place.
function teaching(root) {
  const steps = [...root.querySelectorAll("ol.steps > .step")];
  const [switcher, before, after, slides] = ["one-by-one", "line-before", "line-after", "slides"].map(id => root.getElementById(id));
  const slide = root.getElementById("slide");
  let seen = steps.length;
  if (!switcher) return { seen: () => null, reveal() {} };

  function reveal(count) {
    seen = Math.max(1, Math.min(steps.length, count));
    steps.forEach((step, k) => {
      step.hidden = k >= seen;
      step.classList.toggle("newest", k === seen - 1 && one());
    });
    root.getElementById("newest").textContent = one() ? steps[seen - 1].querySelector(".spoken").textContent : "";
    before.disabled = !one() || seen === 1;
    after.disabled = !one() || seen === steps.length;
  }
  const one = () => switcher.getAttribute("aria-pressed") === "true";
  function single(on) {
    switcher.setAttribute("aria-pressed", on);
    reveal(on ? 1 : steps.length);
  }
  switcher.addEventListener("click", () => single(!one()));
  before.addEventListener("click", () => reveal(seen - 1));
  after.addEventListener("click", () => reveal(seen + 1));

  let at = 0;
  function symbols(within) {
    const found = new Map();
    for (const symbol of within.querySelectorAll("[data-k]")) {
      const key = symbol.dataset.k + symbol.textContent;
      const count = [...found.keys()].filter(name => name.startsWith(`${key}#`)).length;
      found.set(`${key}#${count}`, symbol);
    }
    return found;
  }
  function turn(to) {
    const old = new Map([...symbols(slide)].map(([name, symbol]) => [name, symbol.getBoundingClientRect()]));
    at = Math.max(0, Math.min(steps.length - 1, to));
    const step = steps[at], line = element("div", "slide-line");
    const lefts = steps.slice(0, at + 1).map(each => each.querySelector(".left")).filter(left => left?.textContent);
    if (lefts.length) line.append(lefts.at(-1).cloneNode(true));
    line.append(step.querySelector(".right").cloneNode(true));
    const why = step.querySelector(".why"), spoken = element("p", "spoken", step.querySelector(".spoken").textContent);
    line.setAttribute("aria-hidden", "true");
    const close = element("button", "close", "Close");
    close.type = "button";
    close.addEventListener("click", () => slide.close());
    const rule = step.dataset.rule;
    const worth = step.querySelector(".worth");
    slide.replaceChildren(
      element("p", "slide-count", `${at + 1} of ${steps.length}   ← →`),
      spoken,
      line,
      element("p", "slide-rule", rule),
      ...(why ? [why.cloneNode(true)] : []),
      ...(worth && !worth.hidden ? [worth.cloneNode(true)] : []),
      close,
    );
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const [name, symbol] of symbols(slide)) {
      const was = old.get(name), now = symbol.getBoundingClientRect();
      const frames = was
        ? [{ transform: `translate(${was.left - now.left}px, ${was.top - now.top}px)` }, { transform: "none" }]
        : [{ opacity: 0 }, { opacity: 1 }];
      symbol.animate(frames, { duration: 450, easing: "ease-in-out" });
    }
  }
  slides.addEventListener("click", () => {
    slide.replaceChildren();
    slide.showModal();
    turn(one() ? seen - 1 : 0);
  });
  root.addEventListener("keydown", event => {
    if (event.target.closest?.("input, select, textarea, [role=slider], [role=application]")) return;
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (!by) return;
    if (slide.open) turn(at + by);
    else if (one()) reveal(seen + by);
    else return;
    event.preventDefault();
  });
  return {
    seen: () => (one() ? seen : null),
    reveal(count) {
      switcher.setAttribute("aria-pressed", "true");
      reveal(count);
    },
  };
}
