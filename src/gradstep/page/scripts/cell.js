// A cell of a notebook: the parts under a root of their own, in step with a model in Python.
import { enliven } from "./alive.js";
import { coded, decoded } from "./descent.js";

const OFTEN = 100; // milliseconds between two words to Python while something moves
const NARROW = 44; // rem, as in the style sheet

let walking = null; // the view that trains: one model may be shown in several

export function render({ model, el }) {
  const host = document.createElement("div"), root = host.attachShadow({ mode: "open" });
  host.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the keys
  el.append(host);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(model.get("_sheet"));
  root.adoptedStyleSheets = [sheet];
  provide(model.get("_font"));
  const cell = document.createElement("div");
  cell.className = "cell alive";
  cell.innerHTML = model.get("_body");
  root.append(cell);

  const live = enliven(root, JSON.parse(model.get("_page")), formulas, { drawn: soon, rested: soon }), { descent } = live;

  // From here to Python, but not too often.
  let waiting = null;
  function soon() {
    if (live.running && walking !== live) {
      walking?.pause();
      walking = live;
    }
    waiting ??= setTimeout(tell, OFTEN);
  }
  function tell() {
    clearTimeout(waiting);
    waiting = null;
    const now = { _x: coded(descent.x), _settings: { ...descent.settings }, steps: descent.updates };
    if (live === walking || !walking) now.running = live.running;
    for (const [name, value] of Object.entries(now)) model.set(name, value);
    model.save_changes();
  }

  // From Python to here.
  function follow() {
    const x = model.get("_x"), steps = model.get("steps");
    if (x === coded(descent.x) && steps === descent.updates) return false;
    live.put(decoded(x), steps, steps && steps >= descent.updates ? descent.history : []);
    return true;
  }
  const soonFollow = () => queueMicrotask(() => follow() && live.show()); // when all that changes has changed
  const heard = {
    _x: soonFollow,
    steps: soonFollow,
    _settings() {
      const asked = Object.entries(model.get("_settings")), now = descent.settings;
      if (asked.some(([name, value]) => value !== now[name])) live.set(Object.fromEntries(asked));
    },
    running() {
      if (model.get("running") && !walking?.running) live.train();
      else if (!model.get("running") && live.running) live.pause();
    },
  };
  for (const [name, hear] of Object.entries(heard)) model.on(`change:${name}`, hear);

  // The cell is the screen here: how wide it is, and whether on light paper or dark.
  function lookAround() {
    const dark = isDark(el), narrow = host.clientWidth < NARROW * parseFloat(getComputedStyle(document.documentElement).fontSize);
    cell.style.colorScheme = dark ? "dark" : "light";
    for (const [rule, asked] of conditions) {
      rule.media.mediaText = (asked.includes("color-scheme") ? dark : narrow) ? "all" : "not all";
    }
  }
  const conditions = [...sheet.cssRules].map(rule => [rule, rule.media?.mediaText ?? ""])
    .filter(([, asked]) => /prefers-color-scheme|max-width/.test(asked));
  const watcher = new ResizeObserver(lookAround);
  watcher.observe(host);
  host.addEventListener("pointerenter", lookAround);
  host.addEventListener("pointerleave", live.told.hide);

  follow();
  Object.assign(descent.settings, model.get("_settings"));
  lookAround();
  live.show();
  heard.running();
  return () => {
    for (const [name, hear] of Object.entries(heard)) model.off(`change:${name}`, hear);
    live.end();
    tell();
    if (walking === live) walking = null;
    watcher.disconnect();
    host.remove();
  };
}

// A font cannot be declared under a shadow root, only for the whole document.
function provide(font) {
  const known = [...document.fonts].some(({ family }) => family.includes("STIX Two Math"));
  if (font && !known) document.fonts.add(new FontFace("STIX Two Math", Uint8Array.from(atob(font), c => c.charCodeAt(0))));
}

// The ground that an element stands on, painted to know its colour.
function isDark(element) {
  const brush = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = getComputedStyle(at).backgroundColor;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, opacity] = brush.getImageData(0, 0, 1, 1).data;
    if (opacity > 127) return 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
