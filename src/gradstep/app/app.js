// The page of the local app. It asks the server on 127.0.0.1, and puts what comes back in its place as text; the
// only markup from there is a derivation, which the server has written and escaped itself.

const $ = id => document.getElementById(id);
const PAGE = crypto.randomUUID();
const SHOW_AFTER = 90; // milliseconds after which work is said to go on
const PATIENCE = 1000; // milliseconds that a question is left alone before a newer one stops it

const EXAMPLES = [
  ["the neuron of the article", "mean((y - relu(X @ w + b))**2)", {}],
  ["linear regression", "mean((y - (X @ w + b))**2)", {}],
  ["logistic regression", "z = X @ w + b\nmean(softplus(z) - y*z)", {}],
  ["softmax regression", "Z = X @ W + b\nmean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1))", { facts: { Y: "rows sum to one" } }],
  ["a perceptron with a hidden layer", "H = relu(X @ W1 + b1)\na = H @ w2 + b2\nmean((y - a)**2)",
    { shapes: { W1: "d 16", b1: "16", w2: "16" } }],
  ["ridge regression", "mean((y - X @ w)**2) + 0.1*sum(w**2)", {}],
  ["a Huber loss", "e = y - X @ w\nmean(where(abs(e) < 1, e**2/2, abs(e) - 1/2))", {}],
];
const FACTS = ["", "rows sum to one", "positive", "symmetric", "symmetric positive definite", "invertible", "diagonal", "orthogonal"];
const DATA = ["X", "y", "Y"]; // what a table tells
const LANGUAGES = [["latex", "LaTeX"], ["numpy", "NumPy"], ["torch", "PyTorch"], ["jax", "JAX"], ["javascript", "JavaScript"],
  ["c", "C"], ["page", "a page"]];

const state = { shapes: {}, facts: {}, wrt: null, table: null, job: null, watching: null };

// ---- asking

async function ask(path, body, headers = { "content-type": "application/json" }) {
  let answer;
  try {
    headers = { ...headers, "x-key": localStorage.getItem("key") ?? "" };
    answer = await fetch(path, { method: "POST", headers, body: body instanceof Blob ? body : JSON.stringify(body) });
  } catch {
    return closed("The app has ended. Start it again with  gradstep app");
  }
  if (answer.status === 401) return closed("This page has no token: open the address that  gradstep app  has printed.");
  try {
    return await answer.json();
  } catch {
    return { error: { text: `the app answered with status ${answer.status}` } };
  }
}

function closed(words) {
  $("closed").textContent = words;
  $("closed").hidden = false;
  return { error: { text: words } };
}

/** What `promise` gives; until then the status says that it is worked on, and for how long. */
async function busy(id, words, promise) {
  const began = performance.now(), status = $(id);
  const say = () => {
    const seconds = (performance.now() - began) / 1000;
    if (seconds * 1000 >= SHOW_AFTER) status.textContent = `${words} …${seconds >= 1 ? ` ${seconds.toFixed(0)} s` : ""}`;
  };
  const clock = setInterval(say, SHOW_AFTER);
  try {
    return await promise;
  } finally {
    clearInterval(clock);
    status.textContent = "";
  }
}

function complain(id, error) {
  $(id).hidden = !error;
  $(id).textContent = error ? error.text : "";
}

// ---- the loss and its derivation

const question = () => ({ page: PAGE, formula: $("formula").value, shapes: state.shapes, facts: state.facts, wrt: state.wrt });

const preview = { serial: 0, flying: 0, began: 0, stale: false, timer: 0 };

function soon() {
  $("lines").classList.add("old");
  clearTimeout(preview.timer);
  preview.timer = setTimeout(derive, 25);
}

async function derive(proofs = false) {
  clearTimeout(preview.timer);
  const now = performance.now();
  if (preview.flying && now - preview.began < PATIENCE) {
    preview.stale = true;
    preview.timer = setTimeout(derive, preview.began + PATIENCE - now);
    return;
  }
  const mine = ++preview.serial;
  Object.assign(preview, { began: now, stale: false, flying: preview.flying + 1 });
  const asked = ask("/derive", { ...question(), view: $("view").value, proofs });
  const answer = await busy("write-status", proofs ? "proving" : "deriving", asked);
  preview.flying -= 1;
  if (preview.stale) return derive();
  if (mine !== preview.serial || answer.stopped) return;
  shown(answer);
  if (!proofs && !answer.error) preview.timer = setTimeout(() => derive(true), 400);
}

function shown(answer) {
  complain("wrong", answer.error);
  $("formula").setAttribute("aria-invalid", String(Boolean(answer.error)));
  if (answer.variables) variables(answer.variables, Boolean(answer.error));
  if (answer.error) return;
  const lines = $("lines");
  const open = [...lines.querySelectorAll("details[open]")].map(each => each.parentElement.id);
  lines.innerHTML = answer.html;
  for (const each of lines.querySelectorAll("[data-style]")) each.style.cssText = each.dataset.style;
  for (const id of open) document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
  lines.classList.remove("old");
  lines.dataset.proved = answer.proved;
}

/** A row for each variable; what is being typed in stays as it is, and with a formula that is wrong what was known. */
function variables(known, wrong) {
  const body = $("variables").tBodies[0];
  const rows = new Map([...body.rows].map(row => [row.dataset.name, row]));
  for (const row of rows.values()) if (!known.some(each => each.name === row.dataset.name)) row.remove();
  known.forEach((each, k) => {
    const row = rows.get(each.name) ?? variable(each.name);
    if (body.rows[k] !== row) body.insertBefore(row, body.rows[k] ?? null);
    const [shape, parameter, fact] = row.querySelectorAll("input, select");
    if (!wrong || each.shape || !rows.has(each.name)) shape.placeholder = each.given ? "" : each.shape || "?";
    if (document.activeElement !== shape) shape.value = state.shapes[each.name] ?? "";
    if (!wrong) parameter.checked = each.parameter;
    fact.value = state.facts[each.name] ?? "";
  });
  if (!wrong) sizes(known);
}

/** A field for each size that the user has named and no data tell: h in W1: d h. */
function sizes(known) {
  const named = some => new Set(some.flatMap(each => each.shape.match(/[A-Za-z]\w*/g) ?? []).filter(each => each !== "number"));
  const told = named(known.filter(each => DATA.includes(each.name)));
  const own = [...named(known)].filter(each => !told.has(each));
  const before = new Map([...$("sizes").querySelectorAll("input")].map(each => [each.dataset.size, each]));
  $("sizes").replaceChildren(...own.map(size => {
    const label = document.createElement("label");
    const field = before.get(size) ?? Object.assign(input("text", `the size ${size}`), { value: "16", size: 5 });
    field.dataset.size = size;
    label.append(`${size} = `, field);
    return label;
  }));
}

function variable(name) {
  const row = document.createElement("tr");
  row.dataset.name = name;
  const head = row.appendChild(document.createElement("th"));
  head.scope = "row";
  head.appendChild(document.createElement("code")).textContent = name;
  const cell = element => row.insertCell().appendChild(element);
  const shape = cell(input("text", `shape of ${name}`));
  shape.addEventListener("input", () => {
    keep(state.shapes, name, shape.value.trim());
    soon();
  });
  const parameter = cell(input("checkbox", `${name} is a parameter`));
  parameter.addEventListener("change", () => {
    const boxes = [...$("variables").tBodies[0].rows].filter(each => each.querySelector("[type=checkbox]").checked);
    state.wrt = boxes.length ? boxes.map(each => each.dataset.name) : null;
    soon();
  });
  const fact = cell(choice(FACTS.map(each => [each, each || "–"]), `what is known of ${name}`));
  fact.addEventListener("change", () => {
    keep(state.facts, name, fact.value);
    soon();
  });
  return row;
}

function keep(where, name, text) {
  if (text) where[name] = text;
  else delete where[name];
}

function input(type, label) {
  const made = document.createElement("input");
  Object.assign(made, { type, ariaLabel: label, spellcheck: false });
  return made;
}

function choice(options, label) {
  const made = document.createElement("select");
  if (label) made.ariaLabel = label;
  fill(made, options);
  return made;
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function begin(example) {
  const [, formula, { shapes = {}, facts = {}, wrt = null }] = EXAMPLES[example];
  Object.assign(state, { shapes: { ...shapes }, facts: { ...facts }, wrt });
  $("formula").value = formula;
  derive();
}

// ---- files to take away

let taken = { name: "", source: "" };

async function take(language) {
  const answer = await busy("code-status", "writing", ask("/code", { ...question(), to: language }));
  if (answer.error) {
    $("code-status").textContent = answer.error.text.split("\n")[0];
    return;
  }
  taken = answer;
  if (language === "page") return save(taken);
  $("taken").hidden = false;
  $("taken-name").textContent = answer.name;
  $("source").textContent = answer.source;
}

function save({ name, source }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([source], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function copy() {
  await navigator.clipboard.writeText(taken.source);
  $("code-status").textContent = "copied";
}

// ---- data

async function drop(file) {
  const headers = { "content-type": "application/octet-stream", "x-name": encodeURIComponent(file.name) };
  tabled(await busy("data-status", `reading ${file.name}`, ask("/table", file, headers)));
}

function style() {
  const names = $("categories").value.split(",").map(name => name.trim()).filter(Boolean);
  const kinds = Object.fromEntries(names.map(name => [name, "category"]));
  return { table: state.table, decimal: $("decimal").value, thousands: $("thousands").value, kinds };
}

function tabled(answer) {
  complain("data-wrong", answer.error);
  if (answer.table) state.table = answer.table;
  if (answer.table) $("table").hidden = false;
  if (answer.error) return;
  $("told").textContent = [`${answer.file}: ${answer.rows.toLocaleString("en")} rows.`, ...answer.notes].join("  ");
  const rows = answer.columns.map(({ name, kind, first }) => {
    const row = document.createElement("tr");
    for (const text of [name, kind === "number" ? "numbers" : "categories", first.join(", ")]) row.insertCell().textContent = text;
    return row;
  });
  $("columns").tBodies[0].replaceChildren(...rows);
  const before = $("target").value, names = answer.columns.map(each => each.name);
  fill($("target"), names.map(name => [name, name]));
  $("target").value = names.includes(before) ? before : names.at(-1);
}

// ---- training

const losses = [];

async function train() {
  const asked = { ...question(), ...style(), target: $("target").value, network: $("network").value };
  for (const id of ["hidden", "optimiser", "learning_rate", "steps", "holdout", "l2", "batch", "seed"]) asked[id] = $(id).value;
  asked.sizes = Object.fromEntries([...$("sizes").querySelectorAll("input")].map(each => [each.dataset.size, each.value]));
  running(true);
  complain("train-wrong", null);
  suspect([]);
  $("fit").hidden = true;
  losses.length = 0;
  const answer = await busy("train-status", "asking", ask("/train", asked));
  if (answer.error) {
    running(false);
    return complain("train-wrong", answer.error);
  }
  state.job = answer.job;
  state.watching = new EventSource(`/jobs/${answer.job}`);
  state.watching.onmessage = event => moved(JSON.parse(event.data));
  state.watching.onerror = () => {
    if (state.watching.readyState !== EventSource.CLOSED) return;
    running(false);
    complain("train-wrong", { text: "the line to the training is lost" });
  };
}

function running(on) {
  $("train").disabled = on;
  $("stop").hidden = !on;
  $("stop").disabled = false;
  $("progress").hidden = !on;
  $("bar").removeAttribute("value");
  $("train-status").textContent = on ? "asking …" : "";
}

function moved(told) {
  if (told.state === "waiting") $("train-status").textContent = "waiting for another training …";
  if (told.state === "training") {
    $("train-status").textContent = told.doing ?? "beginning …";
    if (told.step !== undefined) {
      $("train-status").textContent = `step ${told.step} of at most ${told.steps}, loss ${told.loss.toPrecision(6)}`;
      Object.assign($("bar"), { max: told.steps, value: told.step });
      losses.push(told.loss);
      curve();
    }
  }
  if (told.faults) suspect(told.faults);
  if (told.state !== "over") return;
  state.watching.close();
  running(false);
  if (told.error) {
    suspect([]); // they are among what the error says
    return complain("train-wrong", told.error);
  }
  list("notes", told.notes);
  $("noted").hidden = !told.notes.length;
  $("fit").hidden = false;
  $("report").textContent = told.report;
  const at = `/results/${state.job}`;
  $("open-page").href = `${at}/page.html`;
  $("save-page").href = `${at}/page.html?download`;
  $("save-model").href = `${at}/model.safetensors`;
  $("shown").src = `${at}/page.html`;
  $("shown").dataset.job = state.job;
}

/** What may be wrong with the data or the loss, from before the first step on. */
function suspect(faults) {
  if ($("faults").innerText !== faults.join("\n")) list("faults", faults); // what is the same is not read out again
  $("second-look").hidden = !faults.length;
}

function list(id, lines) {
  $(id).replaceChildren(...lines.map(text => Object.assign(document.createElement("li"), { textContent: text })));
}

function curve() {
  const seen = losses.filter(loss => loss > 0).map(Math.log);
  const low = Math.min(...seen), span = Math.max(...seen) - low || 1;
  const points = seen.map((y, k) => `${(400 * k) / Math.max(1, seen.length - 1)},${76 - (72 * (y - low)) / span}`);
  $("curve").firstElementChild.setAttribute("points", points.join(" "));
}

// ---- your own derivation

async function check() {
  $("verdict").hidden = true;
  $("check").disabled = true;
  const answer = await busy("check-status", "checking", ask("/check", { ...question(), claim: $("claim").value }));
  $("check").disabled = false;
  if (answer.stopped) return;
  complain("check-wrong", answer.error);
  if (answer.error) return;
  $("verdict").hidden = false;
  const said = { true: "✓ All of it is right.", false: `✗ Line ${answer.first} is wrong.`, null: "? No point could tell." };
  $("judged").textContent = said[answer.verdict];
  $("judged").className = `verdict ${{ true: "proved", false: "wrong", null: "open" }[answer.verdict]}`;
  const lines = answer.lines.map(({ subject, text, verdict }, k) => {
    const line = document.createElement("li");
    line.textContent = `${subject} = ${text}`;
    line.className = `${{ true: "right", false: "not", null: "unknown" }[verdict]} ${k + 1 === answer.first ? "first" : ""}`;
    return line;
  });
  $("claimed-lines").replaceChildren(...lines);
  const slip = answer.verdict === false ? answer.slip || "None of the known slips explains it." : "";
  $("slip").textContent = [slip, ...answer.notes].filter(Boolean).join(" ");
  $("verdict-text").textContent = answer.text;
}

// ---- what can be pressed

function listen() {
  $("formula").addEventListener("input", () => {
    $("example").selectedIndex = -1; // so that the same example can be chosen again
    soon();
  });
  $("view").addEventListener("change", () => derive());
  $("example").addEventListener("change", () => begin(Number($("example").value)));
  for (const [language, title] of LANGUAGES) {
    const button = $("languages").appendChild(document.createElement("button"));
    Object.assign(button, { type: "button", textContent: title });
    button.dataset.language = language;
    button.addEventListener("click", () => take(language));
  }
  $("copy").addEventListener("click", copy);
  $("save").addEventListener("click", () => save(taken));
  $("put-away").addEventListener("click", () => ($("taken").hidden = true));
  $("file").addEventListener("change", () => $("file").files.length && drop($("file").files[0]));
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    $("drop").addEventListener(kind, event => {
      event.preventDefault();
      $("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) drop(event.dataTransfer.files[0]);
    });
    if (kind !== "dragleave") addEventListener(kind, event => event.preventDefault()); // a file beside it opens nothing
  }
  $("sample").addEventListener("click", async () => tabled(await busy("data-status", "reading", ask("/sample", {}))));
  $("look").addEventListener("click", async () => tabled(await busy("data-status", "reading", ask("/look", style()))));
  $("network").addEventListener("change", () => {
    $("hidden-label").hidden = $("network").value !== "hidden";
    $("sizes").hidden = $("network").value !== "formula";
  });
  $("train").addEventListener("click", train);
  $("stop").addEventListener("click", () => {
    $("stop").disabled = true;
    $("train-status").textContent = "stopping …";
    ask("/stop", { job: state.job });
  });
  $("check").addEventListener("click", check);
}

async function enter() {
  const token = location.hash.slice(1);
  if (/^[\w-]{43}$/.test(token)) {
    history.replaceState(null, "", location.pathname);
    const { key, error } = await ask("/enter", { token });
    if (error) return;
    localStorage.setItem("key", key); // of this port alone, unlike the cookie, and of all its tabs
  }
  fill($("example"), EXAMPLES.map(([title], k) => [String(k), title]));
  listen();
  begin(0);
  document.documentElement.classList.add("ready");
}

enter();
