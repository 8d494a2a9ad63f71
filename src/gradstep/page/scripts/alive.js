// The parts come alive: what they know, what moves them, and the controls that answer.
import { decoded, Descent } from "./descent.js";
import { network } from "./network.js";
import { shown } from "./numbers.js";
import { curve, fit, surface } from "./pictures.js";
import { lines } from "./lines.js";

// `root` is the document or the shadow root that the parts stand in. `drawn` is called after each drawing,
// `rested` when something that a person did, or a training, has come to rest.
export function enliven(root, model, formulas, { drawn = () => {}, rested = () => {} } = {}) {
  for (const part of [model.surface, model.fitted]) {
    if (!part) continue;
    for (const key of ["origin", "X", "beside"]) if (part[key]) part[key] = decoded(part[key]);
    if (part.directions) part.directions = part.directions.map(decoded);
  }
  const $ = id => root.getElementById(id), ended = new AbortController();
  const descent = new Descent(model, formulas.gradient);
  const live = { descent, model, formulas, worth, row: Math.min(model.example ?? 0, Math.max(0, model.examples - 1)), touched: false, running: false };

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

  const drawSurface = surface(root, descent, model.surface, moved);
  const drawCurve = curve(root, descent, model.units.worth);
  const drawFit = fit(root, descent, model, formulas);
  const net = network(root, descent, model, worth, () => live.row, moved);
  const told = lines(root, model, worth, () => live.row, ended.signal);

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
    drawn();
  }

  // A person moved a parameter: the walk begins anew from there.
  function moved() {
    live.touched = true;
    descent.history.push([descent.updates, descent.whole().value]);
    say(anew());
    draw();
    rested();
  }

  // What is said stays until something else is; below all, that these are not all rows.
  const part = model.allRows > model.rows ? `This page trains with ${model.rows} of the ${model.allRows} rows.` : "";
  function say(text) {
    $("message").textContent = text || part;
  }

  const AFRESH = { momentum: "what was moved by hand starts at rest", adam: "it measures the slopes anew" };
  function anew() {
    const { optimiser } = descent.settings;
    return descent.updates && AFRESH[optimiser] ? `From here ${optimiser === "adam" ? "Adam" : optimiser} begins again: ${AFRESH[optimiser]}.` : "";
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
    if (!live.running) return;
    due += Number($("speed").value);
    while (due >= 1 && live.running) {
      due -= 1;
      if (!step()) pause();
      else if (flat()) {
        say("Nothing is left to gain: the slope is as good as zero.");
        pause();
      }
    }
    draw();
    if (live.running) requestAnimationFrame(frame);
    else rested();
  }
  function flat() {
    const { value, gradient } = descent.whole();
    return !descent.batch && Math.hypot(...gradient) < 1e-12 * Math.max(1, Math.abs(value));
  }
  function train() {
    if (live.running) return;
    live.running = true;
    say("");
    $("train").textContent = "Pause";
    requestAnimationFrame(frame);
  }
  function pause() {
    live.running = false;
    $("train").textContent = "Train";
  }
  $("train").addEventListener("click", () => (live.running ? (pause(), rested()) : train()));
  $("step").addEventListener("click", () => {
    pause();
    say("");
    step();
    draw();
    rested();
  });
  $("reset").addEventListener("click", () => {
    pause();
    live.touched = false;
    say("");
    descent.reset();
    draw();
    rested();
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
    if (descent.updates) live.touched = true;
    say("");
    showSettings();
    draw();
    rested();
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
    live.row = (next + model.examples) % model.examples;
    showExample();
    draw();
    rested();
  }
  function showExample() {
    if (!$("example") || !model.examples) return;
    const { features, target } = model.names, width = features.length, unit = model.units.features;
    const X = descent.data[model.features];
    const one = width === 1 && X ? X[live.row] : null;
    const x = one === null ? "" : `: ${features[0]} ${shown(unit ? one * unit.scale[0] + unit.mean[0] : one, 6)}`;
    $("example").textContent = `row ${live.row + 1} of ${model.examples}${x}`;
    const scaled = unit && width === 1 ? `x = (${features[0]} − ${shown(unit.mean[0], 6)}) / ${shown(unit.scale[0], 4)}` : unit ? `The inputs are shown as they are trained on: each ${unit.mean.some(mean => mean) ? "less its mean, " : ""}divided by its ${unit.mean.some(mean => mean) ? "spread" : "size"}` : "";
    const sized = model.units.target ? `; ${target || "the target"} in units of ${shown(model.units.target.size, 4)}` : "";
    $("network-hint").textContent = `${scaled}${sized}${scaled || sized ? ". " : ""}${model.network.length === 1 && root.querySelector('[data-part="z-0"]') ? "Drag a weight or the bias sideways." : "Drag a line sideways: it is a weight, the thicker the larger, blue below zero."}`;
  }
  $("example-before")?.addEventListener("click", () => choose(live.row - 1));
  $("example-after")?.addEventListener("click", () => choose(live.row + 1));
  $("forward")?.addEventListener("click", () => {
    showExample();
    net.forward();
  });
  $("backward")?.addEventListener("click", () => {
    const bent = model.network.some(layer => layer.activation === "relu") ? " that of a ReLU is 1 where it is on and 0 where it is off;" : "";
    $("network-hint").textContent = `∂ at the output is how fast ${model.loss} grows with the answer for this row. On its way back each station multiplies it by its own slope:${bent} that of a weight is what comes in there.`;
    net.backward();
  });
  root.querySelectorAll("#gs-fit .data circle").forEach((dot, k) => {
    if (model.fitted?.kind !== "curve" || model.fitted.dots !== model.rows) return;
    dot.style.cursor = "pointer";
    dot.addEventListener("click", () => choose(k));
  });

  return Object.assign(live, {
    told,
    say,
    choose,
    set,
    train,
    pause,
    // Everything as it is now.
    show() {
      if (!$("message").textContent) say("");
      showSettings();
      showExample();
      draw();
    },
    // To other parameters, after so many steps; `before` is the history that led there.
    put(x, updates, before = []) {
      descent.put(x);
      descent.updates = updates;
      descent.history = [...before, [updates, descent.whole().value]];
      live.touched = true;
    },
    step(count = 1) {
      let k = 0;
      while (k < count && step()) k += 1;
      draw();
      return k;
    },
    end() {
      pause();
      ended.abort();
    },
  });
}
