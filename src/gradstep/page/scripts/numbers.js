// Numbers as people write them: a true minus sign, few digits, powers of ten where they are needed.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

export function shown(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (power >= -4 && power < 7) {
    const text = value.toFixed(Math.max(0, digits - 1 - power));
    return (text.includes(".") ? text.replace(/\.?0+$/, "") : text).replace("-", "−");
  }
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const raised = [...String(Number(exponent))].map(c => RAISED[c]).join("");
  return `${mantissa.replace(/\.?0+$/, "")}×10${raised}`.replace("-", "−");
}

// Where an entry stands in an array of that shape: 7 in 2×5 is (1, 2).
export function placeOf(index, shape) {
  const found = [];
  for (let k = shape.length - 1; k >= 0; k--) {
    found.unshift(index % shape[k]);
    index = Math.floor(index / shape[k]);
  }
  return found;
}
