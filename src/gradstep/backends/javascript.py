"""How does a program read in JavaScript? A function of an ES module, over typed arrays, without a library.

Arrays lie row by row in a Float64Array. It is source to take away, and what a live page trains with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from gradstep.backends.compiled import Compiled, to_take_away
from gradstep.backends.languages import CHOICE, SUM, TESTS, Form, Language, calls, common
from gradstep.backends.loops import Writer
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.statements import SIGNS, Put, Statement
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, size_names, terms

# Entry by entry. What is missing here is written by its definition.
FORMS: Mapping[str, Form] = {
    **common("Math.abs", inside="Math."),
    **{
        name: Form(f"{test.format('{0}', '{1}', equals='===', differs='!==')} ? 1 : 0", CHOICE, (SUM, SUM))
        for name, test in TESTS.items()
    },
    **calls("sign", inside="Math."),
    **calls("round"),
    "maximum": Form("Math.max({0}, {1})"),
    "minimum": Form("Math.min({0}, {1})"),
    "relu": Form("Math.max(0, {0})"),
}
ERFC = """\
function erfc(x) {
  if (!(Math.abs(x) > 2.5)) return 1 - erf(x);
  let part = 0; // a continued fraction (Abramowitz and Stegun 7.1.14)
  for (let n = 60; n > 0; n--) part = n / 2 / (Math.abs(x) + part);
  const tail = Math.exp(-x * x) / Math.sqrt(Math.PI) / (Math.abs(x) + part);
  return x > 0 ? tail : 2 - tail;
}"""
ERF = """\
function erf(x) {
  if (Math.abs(x) > 2.5) return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
  let term = 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * x, sum = term; // a series (7.1.6)
  for (let n = 1; n < 60; n++) sum += term *= 2 * x * x / (2 * n + 1);
  return sum;
}"""
ROUND = """\
function round(x) { // half to even
  const below = Math.floor(x), rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}"""
SIGMOID = "function sigmoid(x) { const q = Math.exp(-Math.abs(x)); return (x < 0 ? q : 1) / (1 + q); }"
ELIMINATED = """\
function eliminated(A, n) { // Gauss and Jordan, the largest entry of a column as pivot
  const B = Float64Array.from(A), inverse = new Float64Array(n * n);
  let determinant = 1;
  for (let i = 0; i < n; i++) inverse[i * n + i] = 1;
  for (let j = 0; j < n; j++) {
    let pivot = j;
    for (let i = j + 1; i < n; i++) if (Math.abs(B[i * n + j]) > Math.abs(B[pivot * n + j])) pivot = i;
    const top = B[pivot * n + j];
    determinant *= pivot === j ? top : -top;
    if (top === 0) return { determinant: 0, inverse: inverse.fill(NaN) };
    for (const M of [B, inverse]) {
      for (let k = 0; k < n; k++) {
        const entry = M[pivot * n + k];
        M[pivot * n + k] = M[j * n + k];
        M[j * n + k] = entry / top;
      }
    }
    for (let i = 0; i < n; i++) {
      const factor = i === j ? 0 : B[i * n + j];
      for (const M of factor ? [B, inverse] : []) {
        for (let k = 0; k < n; k++) M[i * n + k] -= factor * M[j * n + k];
      }
    }
  }
  return { determinant, inverse };
}"""
HELPERS: Mapping[str, str] = {
    "sigmoid": SIGMOID,
    "softplus": ("function softplus(x) { return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))); }"),
    "erf": ERF,
    "erfc": ERFC,
    "round": ROUND,
    "eliminated": ELIMINATED,
}
WORDS = """
arguments await break case catch class const continue debugger default delete do else enum eval export extends
false finally for function if implements import in instanceof interface let new null package private protected
public return static super switch this throw true try typeof undefined var void while with yield
Math Number Infinity NaN Float64Array RangeError Object Array globalThis window
"""
LANGUAGE = Language(
    forms=FORMS,
    helpers=HELPERS,
    reserved=WORDS.split(),
    quotient="Math.floor({0} / {1})",
    whole="{0}",
    signed="{0}",
    real="{0}",
    equals="===",
    differs="!==",
    infinity="Infinity",
    finite="Number.isFinite({0})",
    name="JavaScript",
    matrices={
        "inv": "eliminated({0}, {size}).inverse",
        "det": "eliminated({0}, {size}).determinant",
        "logdet": "Math.log(Math.abs(eliminated({0}, {size}).determinant))",
    },
)
WIDTH = 110


def write(program: Program, name: str = "") -> str:
    """The source of a function: of arrays by name, in one object, to the value and the gradients by name.

    Sizes are told by the arrays' lengths; those that no length tells come in a second object.
    """
    name = name or ("value_and_gradients" if program.gradients else "value")
    name = re.sub(r"_(\w)", lambda after: after[1].upper(), name)
    writing = Writer.of(program, LANGUAGE)
    wanted = {key: writing.names.give(f"d{key}") for key in program.gradients}
    found, body = writing.written(wanted)
    sizes, asked, checks = _sizes(program, writing)
    takes = [_key(given.name, writing.called_symbol(given.symbol)) for given in program.inputs]
    arguments = "{ " + ", ".join(takes) + " }" + (f", {{ {', '.join(asked)} }}" if asked else "")
    made = [*body.start, *(each for each in body.arrays if each not in body.start)]
    lines = [
        *([f"  const {', '.join(f'{size} = {text}' for size, text in sizes.items())};"] if sizes else []),
        *checks,
        *(
            f"  const {each} = new Float64Array({body.arrays[each]});"
            if each in body.arrays
            else f"  let {each} = {body.start[each]};"
            for each in made
        ),
        *_lines(body.statements, 1),
        _returned(program, found),
    ]
    shapes = ", ".join(
        f"{given.name}: {'×'.join(map(str, given.symbol.shape)) or 'a number'}" for given in program.inputs
    )
    header = " ".join(program.header.replace("*/", "* /").split())
    return "\n".join(
        [
            f"/** {header}   {shapes} */".replace("  ", " "),
            f"export function {name}({arguments}) {{",
            *lines,
            "}",
            *("\n" + HELPERS[helper] for helper in HELPERS if helper in writing.used),
            "",
        ]
    )


def _key(name: str, local: str) -> str:
    """One entry of an object: w, or "λ": lambda_."""
    return local if name == local else f"{_quoted(name)}: {local}"


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else json.dumps(name)


def _returned(program: Program, found: Mapping[str, str]) -> str:
    value, *slopes = program.outputs
    if not slopes:
        return f"  return {found[value]};"
    gradients = ", ".join(key if key == found[key] else f"{_quoted(key)}: {found[key]}" for key in slopes)
    line = f"  return {{ value: {found[value]}, gradients: {{ {gradients} }} }};"
    return line


def _sizes(program: Program, writing: Writer) -> tuple[dict[str, str], list[str], list[str]]:
    """Sizes by the lengths of arrays; those that no length tells; and what has to be right about lengths."""
    known: dict[str, str] = {}
    told: set[Expr] = set()
    symbols = [given.symbol for given in program.inputs if given.symbol.rank]
    every = list(dict.fromkeys(n for symbol in symbols for size in symbol.shape for n in size_names(size)))
    for _ in every:
        for symbol in sorted(symbols, key=lambda each: each.rank):
            new = {n for size in symbol.shape for n in size_names(size)} - known.keys()
            if len(new) == 1:
                (size,) = new
                text = _told(f"{writing.called_symbol(symbol)}.length", symbol.shape, size)
                if text:
                    known[size] = text
                    told.add(symbol)
    asked = [size for size in every if size not in known]
    checks = []
    for given in program.inputs:
        symbol = given.symbol
        if symbol.rank and symbol not in told:
            local = writing.called_symbol(symbol)
            shape = "×".join(map(str, symbol.shape))
            fault = (
                f"throw new RangeError({json.dumps(f'{given.name} has to be {shape}', ensure_ascii=False)});"
            )
            checks.append(f"  if ({local}.length !== {writing.length(symbol)}) {fault}")
    return known, asked, checks


def _told(length: str, shape: Sequence[Size], size: str) -> str:
    """A size by the length of an array that has it along one axis; nothing where it is not told."""
    (whole,) = [each for each in shape if size in size_names(each)][:1]
    others = [each for each in shape if each != whole]
    if len(others) + 1 != len(shape) or terms(whole).get((size,)) != 1 or set(terms(whole)) - {(size,), ()}:
        return ""
    text = length
    for other in others:
        written = LANGUAGE.size(other)
        text += f" / {written if written.isalnum() else f'({written})'}"
    more = terms(whole).get((), 0)
    return text if not more else f"{text} - {more}" if more > 0 else f"{text} + {-more}"


DECLARED = {"variable": "let ", "constant": "const "}


def _lines(statements: Sequence[Statement], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for each in statements:
        if isinstance(each, Put):
            text = f"{indent}{DECLARED.get(each.kind, '')}{each.place} {SIGNS[each.kind]} {each.value};"
            note = f" // {each.comment}" if each.comment else ""
            if len(text) + len(note) > WIDTH and note:
                yield f"{indent}{note.strip()}"
                note = ""
            yield text + note
            continue
        counter = each.counter
        head = f"{indent}for (let {counter} = 0; {counter} < {each.size}; {counter}++)"
        inner = list(_lines(each.body, depth + 1))
        if len(inner) == 1 and len(head) + len(inner[0].strip()) < WIDTH:
            yield f"{head} {inner[0].strip()}"
            continue
        yield f"{head} {{"
        yield from inner
        yield f"{indent}}}"


def load(source: str, program: Program, options: Options) -> Compiled:
    """A function that says that it is source only."""
    return to_take_away(source, program, "JavaScript")
