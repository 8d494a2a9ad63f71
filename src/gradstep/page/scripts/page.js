// The page comes alive: what it knows, what moves it, and what it keeps in its address.
import { decoded, Descent } from "./descent.js";
import { network } from "./network.js";
import { shown } from "./numbers.js";
import { curve, fit, surface } from "./pictures.js";
import { copied, lines } from "./lines.js";

const MOST_IN_ADDRESS = 400; // parameters that a link can carry

function start() {
  const model = JSON.parse(document.getElementById("gs-model").textContent);
  for (const part of [model.surface, model.fitted]) {
    if (!part) continue;
    for (const key of ["origin", "X", "beside"]) if (part[key]) part[key] = decoded(part[key]);
    if (part.directions) part.directions = part.directions.map(decoded);
  }
  const $ = id => document.getElementById(id);
  const descent = new Descent(model, formulas.gradient);
  let row = Math.min(model.example ?? 0, Math.max(0, model.rows - 1)), touched = false, running = false;

  // What every key is worth now, computed once for each place.
  let known = null, knownAt = null;
  function worth(key) {
    const { input } = model.values[key] ?? {};
    if (input) return descent.data[input] ?? descent.parameters()[input];
    if (knownAt !== descent.x || known === null) {
      known = formulas.everything({ ...descent.data, ...descent.parameters() }, model.sizes).gradients;
      knownAt = descent.x;
    }
    return known[key];
  }

  const drawSurface = surface(descent, model.surface, moved);
  const drawCurve = curve(descent, model.units.worth);
  const drawFit = fit(descent, model, formulas);
  const net = network(descent, model, worth, () => row, moved);
  const told = lines(model, worth, () => row);

  function draw() {
    known = null;
    const { value, gradient } = descent.whole();
    $("updates").textContent = descent.updates.toLocaleString("en").replaceAll(",", "\u202f");
    $("loss").textContent = shown(model.units.worth * value, 6);
    $("loss").dataset.value = model.units.worth * value;
    $("slope").textContent = shown(Math.hypot(...gradient), 3);
    if (descent.settings.rate === null && descent.rate) showRate(descent.rate);
    drawSurface();
    drawCurve();
    drawFit();
    net.draw();
    told.draw();
  }

  // A person moved a parameter: the walk begins anew from there.
  function moved() {
    touched = true;
    descent.history.push([descent.updates, descent.whole().value]);
    say("");
    draw();
    remember();
  }

  function say(text) {
    $("message").textContent = text;
  }

  function step() {
    if (descent.step()) return true;
    const tried = descent.settings.rate;
    say(
      tried === null || !descent.whole().gradient.some(entry => entry !== 0)
        ? "No step from here leads further down."
        : `With the learning rate ${shown(tried)} the next step leaves the range of numbers: take a smaller one. Nothing was lost.`,
    );
    return false;
  }

  let due = 0;
  function frame() {
    if (!running) return;
    due += Number($("speed").value);
    while (due >= 1 && running) {
      due -= 1;
      if (!step()) pause();
      else if (flat()) {
        say("Nothing is left to gain: the slope is as good as zero.");
        pause();
      }
    }
    draw();
    if (running) requestAnimationFrame(frame);
    else remember();
  }
  function flat() {
    const { value, gradient } = descent.whole();
    return !descent.batch && Math.hypot(...gradient) < 1e-12 * Math.max(1, Math.abs(value));
  }
  function train() {
    running = true;
    say("");
    $("train").textContent = "Pause";
    requestAnimationFrame(frame);
  }
  function pause() {
    running = false;
    $("train").textContent = "Train";
  }
  $("train").addEventListener("click", () => (running ? (pause(), remember()) : train()));
  $("step").addEventListener("click", () => {
    pause();
    say("");
    step();
    draw();
    remember();
  });
  $("reset").addEventListener("click", () => {
    pause();
    touched = false;
    say("");
    descent.reset();
    draw();
    remember();
  });

  // How it steps.
  function showRate(rate) {
    $("rate").value = String(Number(rate.toPrecision(4)));
    $("rate-slider").value = Math.log10(rate);
  }
  function showSettings() {
    const { optimiser, rate, friction, batch } = descent.settings;
    $("optimiser").value = optimiser;
    $("automatic").checked = rate === null;
    $("automatic-label").hidden = optimiser !== "gradient descent" || descent.batch > 0;
    if (rate !== null) showRate(rate);
    $("friction").value = friction;
    $("friction-shown").textContent = shown(friction, 3);
    $("friction-label").hidden = optimiser !== "momentum";
    $("batch").value = String(batch);
  }
  function set(changes) {
    Object.assign(descent.settings, changes);
    const { optimiser, rate } = descent.settings;
    if (rate === null && (optimiser !== "gradient descent" || descent.batch)) {
      descent.settings.rate = descent.rate ?? (optimiser === "adam" ? 0.01 : 0.1);
    }
    const jump = "optimiser" in changes || "batch" in changes || "rate" in changes;
    if (jump) descent.forget();
    if (descent.updates) touched = true;
    say("");
    showSettings();
    draw();
    remember();
  }
  $("optimiser").addEventListener("change", event => set({ optimiser: event.target.value }));
  $("rate-slider").addEventListener("input", event => set({ rate: Number((10 ** event.target.value).toPrecision(3)) }));
  $("rate").addEventListener("change", event => {
    const rate = Number(event.target.value.replace(",", ".").replace("−", "-"));
    if (Number.isFinite(rate) && rate > 0) set({ rate });
    else {
      say("A learning rate is a number above zero, such as 0.1.");
      showSettings();
    }
  });
  $("automatic").addEventListener("change", event => set({ rate: event.target.checked ? null : (descent.rate ?? 0.1) }));
  $("friction").addEventListener("input", event => set({ friction: Number(event.target.value) }));
  $("batch").addEventListener("change", event => set({ batch: Number(event.target.value) }));

  // The example whose numbers are shown.
  function choose(next) {
    row = (next + model.rows) % model.rows;
    showExample();
    draw();
    remember();
  }
  function showExample() {
    if (!$("example") || !model.rows) return;
    const { features, target } = model.names, width = features.length, unit = model.units.features;
    const X = descent.data[model.features];
    const one = width === 1 && X ? X[row] : null;
    const x = one === null ? "" : `: ${features[0]} ${shown(unit ? one * unit.scale[0] + unit.mean[0] : one, 6)}`;
    $("example").textContent = `row ${row + 1} of ${model.rows}${x}`;
    const scaled = unit && width === 1 ? `x = (${features[0]} − ${shown(unit.mean[0], 6)}) / ${shown(unit.scale[0], 4)}` : unit ? "each feature: its mean taken away, divided by its spread" : "";
    const sized = model.units.target ? `; ${target || "the target"} in units of ${shown(model.units.target.size, 4)}` : "";
    $("network-hint").textContent = `${scaled}${sized}${scaled || sized ? ". " : ""}${model.network.length === 1 && document.querySelector('[data-part="z-0"]') ? "Drag a weight or the bias sideways." : "Drag a line sideways: it is a weight, the thicker the larger, blue below zero."}`;
  }
  $("example-before")?.addEventListener("click", () => choose(row - 1));
  $("example-after")?.addEventListener("click", () => choose(row + 1));
  $("forward")?.addEventListener("click", () => {
    showExample();
    net.forward();
  });
  $("backward")?.addEventListener("click", () => {
    $("network-hint").textContent = `∂ is the slope of ${model.loss} at a station, for this row alone: what comes from the right, times the station's own slope.`;
    net.backward();
  });
  document.querySelectorAll("#gs-fit .data circle").forEach((dot, k) => {
    if (model.fitted?.kind !== "curve" || model.fitted.dots !== model.rows) return;
    dot.style.cursor = "pointer";
    dot.addEventListener("click", () => choose(k));
  });

  // The address: what a person changed, so that a link shows the same.
  function state() {
    const { optimiser, rate, friction, batch } = descent.settings, first = model.settings, found = new URLSearchParams();
    if (optimiser !== first.optimiser) found.set("way", optimiser);
    if (rate !== first.rate) found.set("rate", rate ?? "fitted");
    if (friction !== first.friction) found.set("momentum", friction);
    if (batch !== first.batch) found.set("batch", batch);
    if (row !== (model.example ?? 0)) found.set("row", row + 1);
    if (descent.updates) found.set("steps", descent.updates);
    if (touched && descent.size <= MOST_IN_ADDRESS) {
      found.set("at", btoa(String.fromCharCode(...new Uint8Array(descent.x.buffer))).replaceAll("+", "-").replaceAll("/", "_"));
    }
    const seen = told.seen();
    if (seen !== null) found.set("line", seen);
    return found.toString();
  }
  function remember() {
    const text = state();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }
  function recall() {
    const found = new URLSearchParams(location.hash.slice(1)), changes = {};
    if (["gradient descent", "momentum", "adam"].includes(found.get("way"))) changes.optimiser = found.get("way");
    if (found.get("rate") === "fitted") changes.rate = null;
    else if (Number(found.get("rate")) > 0) changes.rate = Number(found.get("rate"));
    if (found.has("momentum") && Number(found.get("momentum")) >= 0 && Number(found.get("momentum")) < 1) changes.friction = Number(found.get("momentum"));
    if (Number.isInteger(Number(found.get("batch"))) && found.has("batch")) changes.batch = Math.max(0, Number(found.get("batch")));
    Object.assign(descent.settings, changes);
    const chosen = Number(found.get("row"));
    if (Number.isInteger(chosen) && chosen > 0 && chosen <= model.rows) row = chosen - 1;
    const steps = Math.min(Number(found.get("steps")) || 0, 100000);
    if (found.has("at")) {
      try {
        const x = decoded(found.get("at").replaceAll("-", "+").replaceAll("_", "/"));
        if (x.length === descent.size && x.every(Number.isFinite)) {
          descent.put(x);
          descent.updates = Math.floor(steps);
          descent.history = [[descent.updates, descent.whole().value]];
          touched = true;
        }
      } catch {
        say("The state in the address could not be read: this is the start.");
      }
    } else for (let k = 0; k < steps && descent.step(); k++);
    if (Number(found.get("line")) > 0) told.reveal(Number(found.get("line")));
  }
  $("link").addEventListener("click", async () => {
    remember();
    await copied(location.href);
    say("The link is copied: it opens this page as it is now.");
  });
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) === state()) return;
    if (!location.hash.includes("=")) return;
    descent.settings = { ...model.settings };
    descent.reset();
    touched = false;
    recall();
    showSettings();
    showExample();
    draw();
  });

  document.documentElement.classList.add("alive");
  recall();
  showSettings();
  showExample();
  draw();
  // For the console, and for teachers: the same things that the buttons do.
  globalThis.gradstep = {
    descent,
    model,
    formulas,
    worth,
    choose,
    step(count = 1) {
      let k = 0;
      while (k < count && step()) k += 1;
      draw();
      return k;
    },
  };
}

start();
