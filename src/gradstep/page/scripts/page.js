// The page: alive, and what a person changed is kept in its address.
import { enliven } from "./alive.js";
import { coded, decoded } from "./descent.js";
import { copied } from "./lines.js";

const MOST_IN_ADDRESS = 400; // parameters that a link can carry

function start() {
  const model = JSON.parse(document.getElementById("gs-model").textContent);
  const live = enliven(document, model, formulas, { rested: remember }), { descent, told } = live;

  // So that a link shows the same.
  function state() {
    const { optimiser, rate, friction, batch } = descent.settings, first = model.settings, found = new URLSearchParams();
    if (optimiser !== first.optimiser) found.set("way", optimiser);
    if (rate !== first.rate) found.set("rate", rate ?? "fitted");
    if (friction !== first.friction) found.set("momentum", friction);
    if (batch !== first.batch) found.set("batch", batch);
    if (live.row !== (model.example ?? 0)) found.set("row", live.row + 1);
    if (descent.updates) found.set("steps", descent.updates);
    if (live.touched && descent.size <= MOST_IN_ADDRESS) {
      found.set("at", coded(descent.x).replaceAll("+", "-").replaceAll("/", "_"));
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
    if (Number.isInteger(chosen) && chosen > 0 && chosen <= model.examples) live.row = chosen - 1;
    const steps = Math.min(Number(found.get("steps")) || 0, 100000);
    if (found.has("at")) {
      try {
        const x = decoded(found.get("at").replaceAll("-", "+").replaceAll("_", "/"));
        if (x.length === descent.size && x.every(Number.isFinite)) live.put(x, Math.floor(steps));
      } catch {
        live.say("The state in the address could not be read: this is the start.");
      }
    } else for (let k = 0; k < steps && descent.step(); k++);
    if (Number(found.get("line")) > 0) told.reveal(Number(found.get("line")));
  }
  document.getElementById("link").addEventListener("click", async () => {
    remember();
    await copied(location.href);
    live.say("The link is copied: it opens this page as it is now.");
  });
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) === state()) return;
    if (!location.hash.includes("=")) return;
    descent.settings = { ...model.settings };
    descent.reset();
    live.touched = false;
    recall();
    live.show();
  });

  document.documentElement.classList.add("alive");
  recall();
  live.show();
  // For the console, and for teachers: the same things that the buttons do.
  globalThis.gradstep = live;
}

start();
