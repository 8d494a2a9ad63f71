// The order of the rows in a pass through mini-batches: what NumPy's default_rng([seed, pass]).permutation gives.
// SeedSequence (O'Neill's seed_seq_fe), PCG64 (XSL RR 128/64) and the shuffle of Fisher and Yates, as NumPy has them.

const MASK32 = 0xffffffffn;
const MASK64 = (1n << 64n) - 1n;
const MASK128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const POOL = 4;

const times = (a, b) => Math.imul(a, b) >>> 0;

function words(entropy) {
  const found = [];
  for (const number of entropy) {
    let rest = BigInt(number);
    do {
      found.push(Number(rest & MASK32));
      rest >>= 32n;
    } while (rest > 0n);
  }
  return found;
}

function seeds(entropy) {
  let constant = 0x43b0d7e5;
  const hashed = value => {
    value = (value ^ constant) >>> 0;
    constant = times(constant, 0x931e8875);
    value = times(value, constant);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mixed = (x, y) => {
    const value = (times(0xca01f9dd, x) - times(0x4973f715, y)) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const given = words(entropy);
  const pool = Array.from({ length: POOL }, (_, k) => hashed(given[k] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
  }
  for (const word of given.slice(POOL)) {
    for (let to = 0; to < POOL; to++) pool[to] = mixed(pool[to], hashed(word));
  }
  let after = 0x8b51f9dd;
  const state = [];
  for (let k = 0; k < 8; k++) {
    let value = (pool[k % POOL] ^ after) >>> 0;
    after = times(after, 0x58f38ded);
    value = times(value, after);
    state.push(BigInt((value ^ (value >>> 16)) >>> 0));
  }
  return [0, 2, 4, 6].map(k => state[k] | (state[k + 1] << 32n));
}

class Generator {
  constructor(entropy) {
    const [high, low, high2, low2] = seeds(entropy);
    this.increment = ((((high2 << 64n) | low2) << 1n) | 1n) & MASK128;
    this.state = 0n;
    this.left = null;
    this.advance();
    this.state = (this.state + ((high << 64n) | low)) & MASK128;
    this.advance();
  }

  advance() {
    this.state = (this.state * MULTIPLIER + this.increment) & MASK128;
  }

  next32() {
    if (this.left !== null) {
      const kept = this.left;
      this.left = null;
      return kept;
    }
    this.advance();
    const folded = (this.state >> 64n) ^ (this.state & MASK64), turn = this.state >> 122n;
    const whole = ((folded >> turn) | (folded << (64n - turn))) & MASK64;
    this.left = whole >> 32n;
    return whole & MASK32;
  }

  // A whole number from 0 to `most`: draws of as few bits as it has, until one is not larger.
  below(most) {
    const mask = BigInt(2 ** (32 - Math.clz32(most)) - 1);
    for (;;) {
      const drawn = Number(this.next32() & mask);
      if (drawn <= most) return drawn;
    }
  }
}

export function orderOf(rows, seed, pass) {
  const random = new Generator([seed, pass]);
  const order = Int32Array.from({ length: rows }, (_, k) => k);
  for (let i = rows - 1; i > 0; i--) {
    const j = random.below(i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
