"""The filter language of the list of neurons: `layer=1 and (wd>0.2 or neg>=0.9)`.

Comparisons (= == != <> < <= > >=), `in (1, 2)`, `like '%x%'`, `is null`, joined by and, or, not and
brackets; a column may be compared with another. Values become parameters, columns are of a list, so
that no text of the user is ever part of a statement.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from store.errors import InputError
from store.printable import printable
from store.queries.browse_neurons import COLUMNS
from store.readonly import Value

ALIASES = {
    "neg": "negative_fraction",
    "skew": "skewness",
    "kurt": "kurtosis",
    "modes": "negative_modes",
    "dip": "negative_dip",
}
"""Short names, as the table's head has them."""
TEXTS = frozenset({"reason"})
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">",
              ">=": ">="}  # fmt: skip
_WORDS = ("and", "or", "not", "in", "like", "is", "null")
_TOKEN = re.compile(
    r"""\s*(?: (?P<number>(?>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))(?![\w.])
    | (?P<word>[A-Za-z_]\w*) | (?P<text>'(?:[^']|'')*'|"[^"]*")
    | (?P<sign><=|>=|<>|!=|==|[=<>(),]) | (?P<end>$) )""",
    re.VERBOSE,
)
MOST_DEPTH = 50


class FilterError(InputError):
    """An expression that is wrong; `position` is the character, from 0, where it goes wrong."""

    def __init__(self, position: int, sentence: str) -> None:
        super().__init__(f"Filter, character {position + 1}: {sentence}")
        self.position = position


@dataclass(frozen=True)
class Filter:
    """A condition over the columns of the list, with its parameters; none is "" and ()."""

    condition: str = ""
    parameters: tuple[Value, ...] = ()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int

    @property
    def lower(self) -> str:
        return self.text.lower() if self.kind in ("word", "sign") else ""


@dataclass(frozen=True)
class _Operand:
    sql: str
    is_text: bool
    token: _Token


def parse_filter(expression: str) -> Filter:
    """Return an expression as a condition; raises FilterError with the place and what to write."""
    if not expression.strip():
        return Filter()
    parser = _Parser(_split(expression))
    condition = parser.parse()
    return Filter(condition, tuple(parser.parameters))


def _split(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(expression, place)
        if match is None:
            start = place + len(expression[place:]) - len(expression[place:].lstrip())
            raise FilterError(start, _explain(expression[start:]))
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return tokens


def _explain(rest: str) -> str:
    if rest[0] in "'\"":
        return "this quotation mark is never closed."
    word = re.match(r"[\w.]+|.", rest, re.DOTALL)
    found = printable(repr(word[0] if word else rest))
    return f"{found} means nothing here; write such as layer=1 and wd>0.2."


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.parameters: list[Value] = []
        self._tokens, self._place, self._depth = tokens, 0, 0

    def parse(self) -> str:
        condition = self._either()
        if self._next.kind != "end":
            raise FilterError(self._next.position, f"{self._found} comes after a whole comparison; "
                              "join two by and or or.")  # fmt: skip
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    @property
    def _found(self) -> str:
        return "the end" if self._next.kind == "end" else printable(repr(self._next.text))

    def _take(self, *texts: str) -> str:
        text = self._next.lower
        if text not in texts:
            return ""
        self._place += 1
        return text

    def _require(self, text: str) -> None:
        if not self._take(text):
            raise FilterError(self._next.position, f"here {text} is needed, not {self._found}.")

    def _either(self) -> str:
        return self._chain("or", self._both)

    def _both(self) -> str:
        return self._chain("and", self._one)

    def _chain(self, word: str, part: Callable[[], str]) -> str:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else f"({f' {word.upper()} '.join(parts)})"

    def _one(self) -> str:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise FilterError(self._next.position, f"more than {MOST_DEPTH} brackets or nots.")
        if self._take("not"):
            condition = f"(NOT {self._one()})"
        elif self._take("("):
            condition = self._either()
            self._require(")")
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def _comparison(self) -> str:
        left = self._operand()
        if self._take("is"):
            negation = "NOT " if self._take("not") else ""
            self._require("null")
            return f"({left.sql} IS {negation}NULL)"
        negation = "NOT " if self._take("not") else ""
        if self._take("in"):
            return f"({left.sql} {negation}IN ({self._values(left)}))"
        if self._take("like"):
            return f"({left.sql} {negation}LIKE {self._like(left)})"
        if negation:
            raise FilterError(self._next.position, f"here in or like is needed, not {self._found}.")
        sign = _OPERATORS[self._take(*_OPERATORS) or self._refuse_sign(left)]
        return f"({left.sql} {sign} {self._alike(left, self._operand()).sql})"

    def _refuse_sign(self, left: _Operand) -> str:
        raise FilterError(
            self._next.position,
            f"after {printable(left.token.text)} a comparison is needed (= != < <= > >= in like "
            f"is), not {self._found}.",
        )

    def _values(self, left: _Operand) -> str:
        self._require("(")
        values = [self._alike(left, self._operand()).sql]
        while self._take(","):
            values.append(self._alike(left, self._operand()).sql)
        self._require(")")
        return ", ".join(values)

    def _like(self, left: _Operand) -> str:
        right = self._operand()
        if not (left.is_text and right.is_text):
            raise FilterError(right.token.position, "like compares text: reason like '%few%'.")
        return right.sql

    def _alike(self, left: _Operand, right: _Operand) -> _Operand:
        if left.is_text == right.is_text:
            return right
        number, text = (right, left) if left.is_text else (left, right)
        raise FilterError(
            right.token.position,
            f"{printable(number.token.text)} is a number and {printable(text.token.text)} is text.",
        )

    def _operand(self) -> _Operand:
        token = self._next
        if token.kind == "word" and token.lower not in _WORDS:
            self._place += 1
            name = _find_column(token)
            return _Operand(COLUMNS[name], name in TEXTS, token)
        if token.kind not in ("number", "text"):
            raise FilterError(token.position, f"here a column or a value is needed, not "
                              f"{self._found}.")  # fmt: skip
        self._place += 1
        self.parameters.append(_value(token))
        return _Operand("?", token.kind == "text", token)


def _value(token: _Token) -> Value:
    if token.kind == "text":
        mark = token.text[0]
        return token.text[1:-1].replace(mark * 2, mark)
    whole = re.fullmatch(r"[-+]?\d{1,18}", token.text)
    return int(token.text) if whole else float(token.text)


def _find_column(token: _Token) -> str:
    name = ALIASES.get(token.lower, token.lower)
    if name in COLUMNS:
        return name
    near = difflib.get_close_matches(token.lower, [*COLUMNS, *ALIASES], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(COLUMNS)}."
    raise FilterError(token.position, f"{printable(token.text)!r} is no column; {hint}")
