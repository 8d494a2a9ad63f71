"""Which text can be a formula at all? Its characters, words, numbers and brackets, before anything is parsed.

What passes is ASCII, made of known signs, with closed brackets and numbers of bounded length; it is cut into
statements, `z = X @ w + b` or `X @ w + b`.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.notation.mending import Candidate, Slip, printable
from gradstep.notation.symbols import LETTER_NAMES
from gradstep.operations.leaves import LONGEST, checked_name

MOST_CHARACTERS = 400_000
MOST_IN_A_STATEMENT = 20_000
MOST_PIECES = 40_000  # names, numbers and signs
DEEPEST = 100
MOST_POWERS_OF_TEN = 300

TOKEN = re.compile(
    r"""
    [ \t]*
    (?:
      (?P<number> (?: [0-9]+ \.? [0-9]* | \.[0-9]+ ) (?: [eE] [+-]? [0-9]+ )? )
    | (?P<indices> (?P<quote>["']) [A-Za-z, ]{0,200} -> [A-Za-z ]{0,40} (?P=quote) )
    | (?P<word>   "(?:tanh|none)" )
    | (?P<name>   [A-Za-z_] [A-Za-z0-9_]* )
    | (?P<foreign> \*\*= | [-+*/@]= | // | := | -> | << | >> | <> | === )
    | (?P<sign>   \*\* | == | != | >= | <= | [-+*/@.,=<>:] )
    | (?P<open>   [(\[] )
    | (?P<close>  [)\]] )
    | (?P<end>    [\n;] )
    | (?P<other>  [^ \t] )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
PIECE = re.compile(r"[A-Za-z_]\w*|[0-9.]+|[^\w\s]")
STRANGE = re.compile(r"[^ -~\n\t]")
REPEATED = re.compile(r"(?:[-+]\s*){21}|(?:\.\s*T\s*){21}")
PAIRS = {")": "(", "]": "["}

# What people type, and how it is typed here.
TYPED = {
    "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "⊙": "*", "÷": "/", "²": "**2", "³": "**3",
    "ᵀ": ".T", "'": ".T", "≥": ">=", "≤": "<=", "≠": "!=", "^": "**", "√": "sqrt", "Σ": "sum", "∑": "sum",
    **{letter: {"lambda": "lam"}.get(name, name) for letter, name in LETTER_NAMES.items()},
}  # fmt: skip
REASONS = {
    "#": "a formula has no comments",
    '"': "a formula has no quotes",
    "'": "a formula has no quotes",
    "\\": "a formula is NumPy syntax, not LaTeX",
    "{": "a formula has no braces",
    "}": "a formula has no braces",
    "&": "a formula has no logic: masks such as (a > 0) are multiplied",
    "|": "a formula has no logic: masks such as (a > 0) are added and multiplied",
    "~": "a formula has no logic: 1 - (a > 0) turns a mask round",
    "!": "a formula has no !",
    "%": "a formula has no remainder",
}
INDICES = 'the indices of einsum are letters in quotes, with an arrow: "ij,jk->ik"'
FOREIGN = {
    "//": ("/", "// rounds, and what is rounded has no slope: / divides"),
    ":=": ("=", "a name is given with ="),
    "<>": ("!=", "that two things differ is written !="),
    "===": ("==", "a comparison is written =="),
}
WORDS = {
    "and": "a formula has no `and`: the product of two masks, (a > 0)*(b > 0), is 1 where both hold",
    "or": "a formula has no `or`: maximum(a > 0, b > 0) is 1 where one of two masks holds",
    "not": "a formula has no `not`: 1 - (a > 0) turns a mask round",
    "if": "a formula has no `if`: a mask chooses, as in (z > 0)*x, or maximum, minimum, relu, abs",
    "else": "a formula has no `else`: a mask chooses, as in (z > 0)*x",
    "for": "a formula has no `for`: sum(x, axis=0) runs over an axis",
    "is": "a formula has no `is`: a comparison is written ==",
    "in": "a formula has no `in`",
    "lambda": "lambda is a reserved word of Python: lam is printed as λ",
}


@record
class Statement:
    """`name` = source[start:end], or source[start:end] alone."""

    name: str | None
    start: int
    end: int
    name_span: tuple[int, int] = (0, 0)


class Token(NamedTuple):
    """A piece of text, what it is, and where it begins."""

    kind: str
    text: str
    start: int

    @property
    def span(self) -> tuple[int, int]:
        """Where it stands."""
        return self.start, self.start + len(self.text)


def statements(source: str) -> list[Statement]:
    """The statements of `source`, or a `MathError` about the first thing that no formula has."""
    _check_length(len(source), MOST_CHARACTERS, "text")
    _check_length(max(map(len, re.split("[\n;]", source))), MOST_IN_A_STATEMENT, "statement")
    _check_length(len(PIECE.findall(source)), MOST_PIECES, "text", "names, numbers and signs")
    if letter := STRANGE.search(source):
        _strange(source, Token("other", letter[0], letter.start()))
    if run := REPEATED.search(source):
        raise MathError("more than 20 signs in a row", source=source, span=run.span())
    found: list[Statement] = []
    line: list[Token] = []
    brackets: list[Token] = []
    for token in _tokens(source):
        if token.kind == "end":
            if not brackets:
                found += _statement(source, line, not found)
                line = []
            elif token.text == ";":
                _wrong(source, brackets[-1], "this bracket is not closed")
            continue
        if token.kind not in ("number", "name"):
            _follow(source, token, brackets)
        if line and _touch(line[-1], token):
            _missing_operator(source, line[-1], token)
        line.append(token)
    if brackets:
        _wrong(source, brackets[-1], "this bracket is not closed")
    found += _statement(source, line, not found)
    if not found:
        raise MathError("there is no formula here", source=source.strip() or None)
    return found


def _follow(source: str, token: Token, brackets: list[Token]) -> None:
    """Keep account of the open brackets; only einsum's first operand stands in quotes."""
    if token.kind == "indices" and not _opens_einsum(source, token):
        _wrong(source, token, REASONS['"'])
    if token.kind == "open":
        brackets.append(token)
        if len(brackets) > DEEPEST:
            _wrong(source, token, f"brackets nest at most {DEEPEST} deep", "names for the parts: z = …; …")
    elif token.kind == "close":
        if not brackets:
            _wrong(source, token, f"this {token.text} closes nothing")
        if brackets.pop().text != PAIRS[token.text]:
            _wrong(source, token, f"this {token.text} does not close the bracket that is open")
    elif token.text == ":" and (not brackets or brackets[-1].text == "("):
        _wrong(source, token, "a colon stands in x[:, None] only; shapes are not part of the formula")


def _opens_einsum(source: str, token: Token) -> bool:
    """Whether a token is the first operand of einsum."""
    before = source[: token.start].rstrip()
    return before[-1:] == "(" and before[:-1].rstrip().endswith("einsum")


def _check_length(length: int, most: int, what: str, unit: str = "characters") -> None:
    if length > most:
        raise MathError(
            f"this {what} has {length:,} {unit}: at most {most:,} can be read",
            mend="sum(…) for a long sum, names for the parts: z = …; …",
        )


def _wrong(source: str, token: Token, what: str, mend: str | None = None) -> NoReturn:
    raise MathError(what, source=source, span=token.span, mend=mend)


# ------------------------------------------------------------------------------------------- tokens


def _tokens(source: str) -> Iterator[Token]:
    """Everything but space, each piece checked by itself."""
    for found in TOKEN.finditer(source):
        token = Token(found.lastgroup or "", found[found.lastindex or 0], found.start(found.lastindex or 0))
        if token.kind in CHECKS:
            CHECKS[token.kind](source, token)
        yield token


def _foreign(source: str, token: Token) -> NoReturn:
    instead, why = FOREIGN.get(token.text, ("", f"a formula has no {token.text}"))
    _slip(source, token, why, instead)


def _slip(source: str, token: Token, what: str, instead: str) -> NoReturn:
    """An error at `token`, with `instead` in its place as the mend if that works."""
    start, end = token.span
    error = MathError(what, source=source, span=token.span)
    mend = Candidate(f"{instead} instead of {token.text}", source[:start] + instead + source[end:])
    raise Slip(error, [mend]) if instead else error


def _strange(source: str, token: Token) -> NoReturn:
    letter = token.text
    if letter in "\"'" and _opens_einsum(source, token):
        _wrong(printable(source), token, INDICES)
    instead = TYPED.get(letter, "") or _letter(letter)
    name = unicodedata.name(letter, "").lower()
    described = f"U+{ord(letter):04X}{', ' + name if name else ''}"
    if letter.isprintable():
        described = letter if letter.isascii() else f"{letter} ({described})"
    what = REASONS.get(letter, f"the character {described} is no part of a formula")
    if instead and letter not in REASONS:
        what += f": {instead} is typed"
    _slip(printable(source), token, what, instead)


def _letter(letter: str) -> str:
    """The ASCII letter or digit that a letter stands for (𝑥, ｘ), or nothing."""
    folded = unicodedata.normalize("NFKC", letter)
    return folded if len(folded) == 1 and folded.isascii() and folded.isalnum() else ""


def _check_number(source: str, token: Token) -> None:
    _, end = token.span
    text = token.text
    mantissa, _, power = text.lower().partition("e")
    follows = source[end : end + 1]
    if text == "0" and follows in ("x", "b", "o", "X", "B", "O"):
        _wrong(source, token, "numbers are written in decimal")
    if follows == "_":
        _wrong(source, token, "the digits of a number stand together, without _")
    if follows == ".":
        _wrong(source, token, "this number has two points")
    if len(mantissa.replace(".", "")) > LONGEST:
        _wrong(source, token, f"a number has at most {LONGEST} digits")
    if power and (len(power) > 5 or abs(int(power)) > MOST_POWERS_OF_TEN):
        _wrong(source, token, f"numbers lie between 1e-{MOST_POWERS_OF_TEN} and 1e{MOST_POWERS_OF_TEN}")
    if len(mantissa) > 1 and mantissa.isdigit() and mantissa[0] == "0":
        _slip(source, token, "a number does not begin with 0", text.lstrip("0") or "0")


def _check_word(source: str, token: Token) -> None:
    word = token.text
    if keyword.iskeyword(word) and word not in ("None", "True", "False"):
        why = WORDS.get(word, f"{word} is a reserved word of Python")
        _slip(source, token, why, "lam" if word == "lambda" else "")
    if word[0] == "_" or "__" in word or len(word) > 64:
        try:
            checked_name(word)
        except MathError as error:
            raise error.at(source, token.span) from None


def _check_quoted(source: str, token: Token) -> None:
    """The only option in words is gelu's: gelu(x, approximate="tanh")."""
    if not re.search(r"approximate\s*=\s*\Z", source[: token.start]):
        _wrong(source, token, REASONS['"'])


CHECKS: dict[str, Callable[[str, Token], None]] = {
    "other": _strange,
    "foreign": _foreign,
    "number": _check_number,
    "name": _check_word,
    "word": _check_quoted,
}

# ------------------------------------------------------------------------------------------- side by side


def _touch(left: Token, right: Token) -> bool:
    """Whether two things stand side by side with nothing in between that says what to do with them."""
    if right.kind in ("number", "name"):
        return left.kind in ("number", "name", "close")
    return right.text == "(" and left.kind in ("number", "close")


def _missing_operator(source: str, left: Token, right: Token) -> NoReturn:
    start, end = left.start, right.start
    space = "" if source[left.span[1] : end] == "" else " "
    shown = (
        left.text if left.kind != "close" else f"(…{left.text}",
        right.text if right.kind != "open" else f"{right.text}…)",
    )
    choices = [
        Candidate(
            f"{space}{sign}{space}".join(shown),
            f"{source[: left.span[1]]}{space}{sign}{space}{source[end:]}",
        )
        for sign in ("*@" if left.kind == "number" else "@*")
    ]
    what = f"an operator is missing between {left.text} and {right.text}"
    raise Slip(MathError(what, source=source, span=(start, right.span[1])), choices)


def _statement(source: str, line: list[Token], first: bool) -> list[Statement]:
    """The statement that these tokens make, if there are any."""
    if not line:
        return []
    equals = [token for token in _outermost(line) if token.text == "="]
    name, name_span = None, (0, 0)
    if equals:
        if [token.kind for token in line[:2]] != ["name", "sign"] or line[1] is not equals[0]:
            _misnamed(source, line, equals[0])
        if len(equals) > 1:
            _wrong(source, equals[1], "one statement gives one name; a comparison is written ==")
        if len(line) == 2:
            _wrong(source, equals[0], f"there is no formula for {line[0].text} here")
        name, name_span = line[0].text, line[0].span
        line = line[2:]
    if line[0].text == "+" and not first:
        _wrong(
            source, line[0], "a line does not begin with +: brackets hold a formula of several lines together"
        )
    if line[-1].kind == "sign":
        rest = (
            ": brackets hold a formula of several lines together"
            if line[-1].span[1] < len(source.rstrip())
            else ""
        )
        _wrong(source, line[-1], f"nothing follows this {line[-1].text}{rest}")
    start, end = line[0].start, line[-1].span[1]
    _check_length(end - start, MOST_IN_A_STATEMENT, "statement")
    return [Statement(name, start, end, name_span)]


def _misnamed(source: str, line: list[Token], equals: Token) -> NoReturn:
    """Something else than a name stands before =; of C(w, b) = … the name may do."""
    error = MathError(
        "only a name can be given: z = X @ w; a comparison is written ==", source=source, span=equals.span
    )
    before = line[: line.index(equals)]
    if [token.kind for token in before[:2]] != ["name", "open"] or before[-1].text != ")":
        raise error
    head, end = before[0], before[-1].span[1]
    raise Slip(error, [Candidate(f"{head.text} = …", source[: head.span[1]] + source[end:])])


def _outermost(line: list[Token]) -> Iterator[Token]:
    """The tokens outside all brackets."""
    depth = 0
    for token in line:
        depth += (token.kind == "open") - (token.kind == "close")
        if depth == 0:
            yield token
