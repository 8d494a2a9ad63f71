// The way down: parameters laid end to end in one vector, and the steps that move them. No pictures here.
import { orderOf } from "./random.js";

export const decoded = text => new Float64Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);

// The same the other way.
export const coded = x => btoa(Array.from(new Uint8Array(x.buffer), c => String.fromCharCode(c)).join(""));

const dot = (a, b) => a.reduce((sum, entry, k) => sum + entry * b[k], 0);
const length = a => Math.sqrt(dot(a, a));

// One step of each optimiser: x and its memory are changed in place. The formulas are those of gs.train.
export const RULES = {
  "gradient descent": (x, gradient, memory, { rate }) => {
    for (let k = 0; k < x.length; k++) x[k] -= rate * gradient[k];
  },
  momentum: (x, gradient, memory, { rate, friction }) => {
    const v = (memory.v ??= new Float64Array(x.length));
    for (let k = 0; k < x.length; k++) {
      v[k] = friction * v[k] + gradient[k];
      x[k] -= rate * v[k];
    }
  },
  adam: (x, gradient, memory, { rate }) => {
    const m = (memory.m ??= new Float64Array(x.length)), s = (memory.s ??= new Float64Array(x.length));
    memory.t = (memory.t ?? 0) + 1;
    const first = 1 / (1 - 0.9 ** memory.t), second = 1 / (1 - 0.999 ** memory.t);
    for (let k = 0; k < x.length; k++) {
      m[k] = 0.9 * m[k] + (1 - 0.9) * gradient[k];
      s[k] = 0.999 * s[k] + (1 - 0.999) * gradient[k] ** 2;
      x[k] -= rate * (m[k] * first) / (Math.sqrt(s[k] * second) + 1e-8);
    }
  },
};

const RECENT = 10, SUFFICIENT = 1e-4, FIRST_MOVE = 0.1, SPEED_UP = 5;

export class Descent {
  // `model` holds data, parameters and settings; `gradient` is the generated function of both.
  constructor(model, gradient) {
    this.model = model;
    this.gradientOf = gradient;
    this.names = Object.keys(model.parameters);
    this.data = {};
    for (const [name, { shape, values }] of Object.entries(model.data)) {
      const array = decoded(values);
      this.data[name] = shape.length ? array : array[0];
    }
    this.places = {};
    let place = 0;
    for (const name of this.names) {
      const size = model.parameters[name].shape.reduce((a, b) => a * b, 1);
      this.places[name] = [place, place + size];
      place += size;
    }
    this.size = place;
    this.settings = { ...model.settings };
    this.reset();
  }

  reset() {
    this.x = new Float64Array(this.size);
    for (const name of this.names) this.x.set(decoded(this.model.parameters[name].start), this.places[name][0]);
    this.forget();
    this.updates = 0;
    this.history = [[0, this.whole().value]];
  }

  // What was learned on the way is no longer true after a jump.
  forget() {
    this.memory = {};
    this.queue = [];
    this.pass = 0;
    this.fitted = null;
    this.measured = null;
  }

  put(x) {
    this.x = Float64Array.from(x);
    this.forget();
  }

  parameters(x = this.x) {
    const found = {};
    for (const name of this.names) {
      const [from, to] = this.places[name];
      found[name] = this.model.parameters[name].shape.length ? x.subarray(from, to) : x[from];
    }
    return found;
  }

  rows(chosen) {
    const found = { ...this.data };
    for (const name of this.model.along) {
      const whole = this.data[name], width = whole.length / this.model.rows;
      const part = new Float64Array(chosen.length * width);
      chosen.forEach((row, k) => part.set(whole.subarray(row * width, (row + 1) * width), k * width));
      found[name] = part;
    }
    return found;
  }

  at(x, data = this.data) {
    const { value, gradients } = this.gradientOf({ ...data, ...this.parameters(x) }, this.model.sizes);
    const gradient = new Float64Array(this.size);
    for (const name of this.names) {
      const slope = gradients[name];
      if (slope !== undefined) gradient.set(typeof slope === "number" ? [slope] : slope, this.places[name][0]);
    }
    return { value, gradient };
  }

  // Loss and gradient on all rows, where we are.
  whole() {
    return (this.measured ??= this.at(this.x));
  }

  get batch() {
    const { batch } = this.settings;
    return batch && batch < this.model.rows ? batch : 0;
  }

  // One step down; false where no step leads down, or where the numbers end: then nothing has changed.
  step() {
    const before = { x: this.x.slice(), measured: this.whole() };
    if (!this.batch && this.settings.rate === null) {
      if (!this.fittedStep()) return false;
    } else {
      const { gradient } = this.batch ? this.at(this.x, this.rows(this.nextBatch())) : before.measured;
      RULES[this.settings.optimiser](this.x, gradient, this.memory, this.settings);
      this.measured = null;
    }
    if (!Number.isFinite(this.whole().value) || !this.whole().gradient.every(Number.isFinite)) {
      this.x = before.x;
      this.measured = before.measured;
      return false;
    }
    this.updates += 1;
    this.history.push([this.updates, this.whole().value]);
    return true;
  }

  nextBatch() {
    if (!this.queue.length) {
      const order = orderOf(this.model.rows, this.settings.seed, this.pass++);
      for (let k = 0; k < order.length; k += this.batch) this.queue.push(order.slice(k, k + this.batch));
    }
    return this.queue.shift();
  }

  // Gradient descent whose rate is fitted to the last move (Barzilai and Borwein 1988), never above the highest
  // of the last ten losses (Grippo, Lampariello and Lucidi 1986).
  fittedStep() {
    const here = { x: this.x.slice(), ...this.whole() };
    const fit = (this.fitted ??= {
      recent: [here.value],
      rate: (FIRST_MOVE * (this.updates ? Math.max(1, length(here.x)) : this.model.reach)) / length(here.gradient),
      count: 0,
    });
    const found = this.accepted(here, fit.rate, Math.max(...fit.recent));
    if (!found) return false;
    const { there, rate } = found;
    this.rate = rate;
    const move = there.x.map((entry, k) => entry - here.x[k]);
    const change = there.gradient.map((entry, k) => entry - here.gradient[k]);
    const bend = dot(move, change);
    if (bend <= 0) fit.rate = rate * SPEED_UP;
    else fit.rate = fit.count % 3 < 2 ? dot(move, move) / bend : bend / dot(change, change);
    fit.count += 1;
    fit.recent = [...fit.recent, there.value].slice(-RECENT);
    this.x = there.x;
    this.measured = { value: there.value, gradient: there.gradient };
    return true;
  }

  accepted(here, rate, ceiling) {
    const slope = length(here.gradient);
    const ahead = by => {
      const x = here.x.map((entry, k) => entry - by * here.gradient[k]);
      const { value, gradient } = this.at(x);
      return { x, value, gradient, finite: Number.isFinite(value) && gradient.every(Number.isFinite) };
    };
    const noise = 4 * Number.EPSILON * Math.abs(ceiling);
    const shortest = (Number.EPSILON * length(here.x)) / slope;
    while (rate > shortest) {
      const there = ahead(rate);
      if (there.finite && there.value <= ceiling - SUFFICIENT * rate * slope * slope + noise) {
        if (there.gradient.some(entry => entry !== 0)) return { there, rate };
        const half = ahead(rate / 2);
        if (!(half.finite && half.value < there.value)) return { there, rate };
        rate /= 2;
        continue;
      }
      const rise = there.value - (here.value - rate * slope * slope), far = rate * slope;
      const guess = there.finite && rise > 0 ? (far * far) / (2 * rise) : 0;
      rate = Math.min(Math.max(guess, 0.1 * rate), 0.5 * rate);
    }
    return null;
  }
}
