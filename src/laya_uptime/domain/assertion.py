"""The assertion language: what somebody expects of an observation, in one line.

    status in 200..299 and not (text matches "(?i)fatal error")
    latency < 500ms
    body.db.replicas >= 2 or jsonpath("$.nodes[?@.lag > 10].id") contains "a"

- `not` binds tighter than `and`, `and` tighter than `or`; parentheses group.
- Comparisons: `== != < <= > >=`, `in [200, 204]` and `in 200..299` (both ends included), `contains` (part of a text,
  item of a list, key of an object), `matches "pattern"` (RE2, found anywhere unless anchored).
- Literals: numbers, durations `500ms 2s 10m 4h 14d`, sizes `10KB 1MiB 512B` (numbers of bytes), texts in quotes, true,
  false, null. A text never equals a number, and true is no number.
- An absent operand makes every comparison false, `!=` too. So `not (body.x == 1)` holds where there is no x.
- An operand alone holds when it is there and is `true`.

The operands are in `operands.py`, their values in `values.py`. Every operand is read whatever `and` and `or` decide
early, because its value is evidence. Parsing refuses what can never hold; testing never raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from laya_uptime.domain import health, values
from laya_uptime.domain.operands import KNOWN, Operand, Read, Sort, query, resolve
from laya_uptime.domain.result import AssertionResult, Observation
from laya_uptime.domain.tokens import ExpressionError, Kind, Token, on_one_line, tokens, visible
from laya_uptime.domain.values import COMPARISONS, Literal, Test, sort_of

__all__ = ["Assertion", "ExpressionError", "parse"]

LONGEST = 2000  # characters of one expression
DEEPEST = 50  # parentheses and nots within each other

_Holds = Callable[[Sequence[object]], bool]

_TAKES = {
    Sort.NUMBER: ("a number",),
    Sort.SIZE: ("a number",),
    Sort.DURATION: ("a duration",),
    Sort.TEXT: ("text",),
    Sort.WORD: ("text",),
    Sort.TEXTS: ("text",),
    Sort.JSON: ("a number", "text", "true or false", "null"),
}
_EXAMPLES = {
    Sort.NUMBER: "{} == 200",
    Sort.SIZE: "{} < 10KB",
    Sort.DURATION: "{} < 500ms",
    Sort.TEXT: '{} contains "ok"',
    Sort.WORD: '{} == "healthy"',
    Sort.TEXTS: '{} contains "192.0.2.1"',
}
_OPERATORS = (*COMPARISONS, "in", "contains", "matches")
_OPERATORS_ELSEWHERE = {
    **dict.fromkeys(("is", "eq", "equals", "equal"), "=="),
    **dict.fromkeys(("isnt", "ne", "neq"), "!="),
    "lt": "<",
    "le": "<=",
    "lte": "<=",
    "gt": ">",
    "ge": ">=",
    "gte": ">=",
    "between": "in",
    **dict.fromkeys(("has", "have", "include", "includes"), "contains"),
    **dict.fromkeys(("like", "regex", "pat", "startswith", "endswith", "starts_with", "ends_with"), "matches"),
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """One parsed expression, made by `parse` alone. Two are equal when they were written alike."""

    text: str  # as written, but on one line
    operands: frozenset[str] = field(compare=False)  # those it names, likewise
    _reads: tuple[tuple[str, Read], ...] = field(compare=False, repr=False)
    _holds: _Holds = field(compare=False, repr=False)

    def test(self, observation: Observation) -> AssertionResult:
        """Hold the expression against what was seen. Never raises, whatever the observation holds."""
        if len(self._reads) == 1:  # as most of them do, this names one operand, and is held against every answer
            ((name, read),) = self._reads
            value = read(observation)
            return AssertionResult(text=self.text, holds=self._holds((value,)), actual=((name, values.shown(value)),))
        found = [read(observation) for _, read in self._reads]
        return AssertionResult(
            text=self.text,
            holds=self._holds(found),
            actual=tuple((name, values.shown(value)) for (name, _), value in zip(self._reads, found, strict=True)),
        )


def parse(text: str) -> Assertion:
    """Return the assertion that the text says. Raise ExpressionError with the column where it says none."""
    if len(text) > LONGEST:
        raise ExpressionError(
            f"the expression is longer than {LONGEST} characters",
            column=LONGEST + 1,
            remedy="Split it: all items of a list must hold.",
        )
    parser = _Parser(text)
    holds = parser.whole()
    return Assertion(
        text=parser.on_one_line(),
        operands=frozenset(visible(operand.text) for operand in parser.operands),
        _reads=tuple((visible(operand.text), operand.read) for operand in parser.operands),
        _holds=holds,
    )


class _Parser:
    """Recursive descent over the tokens; each rule returns a closure over the list of operand values."""

    def __init__(self, text: str) -> None:
        self.operands: list[Operand] = []
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> _Holds:
        if self._peek().kind is Kind.END:
            raise ExpressionError("the expression is empty", column=1, remedy="For example status == 200.")
        holds = self._or()
        if self._peek().kind is not Kind.END:
            raise ExpressionError(
                f"unexpected {self._peek().text!r}", column=self._peek().column, remedy=_joined(self._peek())
            )
        return holds

    def on_one_line(self) -> str:
        return on_one_line(self._text, self._tokens)

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind is not Kind.END
        return token

    def _is(self, *texts: str) -> bool:
        """Say whether the next token is one of these keywords or symbols."""
        return self._peek().kind in {Kind.KEYWORD, Kind.SYMBOL} and self._peek().text in texts

    def _expect(self, symbol: str) -> Token:
        if not self._is(symbol):
            raise ExpressionError(f"expected {symbol}, not {_called(self._peek())}", column=self._peek().column)
        return self._take()

    def _or(self) -> _Holds:
        parts = [self._and()]
        while self._is("or"):
            self._take()
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda found: any(holds(found) for holds in parts)

    def _and(self) -> _Holds:
        parts = [self._not()]
        while self._is("and"):
            self._take()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda found: all(holds(found) for holds in parts)

    def _not(self) -> _Holds:
        if not self._is("not", "("):
            return self._comparison()
        opening = self._take()
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"nested deeper than {DEEPEST} levels", column=opening.column)
        if opening.text == "(":
            holds = self._or()
            self._expect(")")
        else:
            inner = self._not()

            def holds(found: Sequence[object]) -> bool:
                return not inner(found)

        self._depth -= 1
        return holds

    def _comparison(self) -> _Holds:
        operand = self._operand()
        slot = self._slot(operand)
        if self._peek().kind is Kind.END or self._is(")", "and", "or"):
            return _bare(operand, slot, self._peek())
        operator = self._take()
        if operator.text in COMPARISONS and operator.kind is Kind.SYMBOL:
            return self._compared(operand, slot, operator)
        if operator.kind is not Kind.KEYWORD or operator.text == "not":
            raise _no_operator(operand, operator)
        match operator.text:
            case "in":
                test = self._in(operand)
            case "contains":
                test = self._contains(operand, operator)
            case _:
                test = self._matches(operand, operator)
        return lambda found: test(found[slot])

    def _slot(self, operand: Operand) -> int:
        """Return where the operand's value will be; one that is named twice is read once."""
        for slot, known in enumerate(self.operands):
            if known.text == operand.text:
                return slot
        self.operands.append(operand)
        return len(self.operands) - 1

    def _operand(self) -> Operand:
        token = self._take()
        if token.kind is Kind.END:
            raise ExpressionError("the expression ends where an operand is expected", column=token.column)
        if token.kind is not Kind.OPERAND:
            remedy = "Write the operand first: status == 200." if token.kind is Kind.LITERAL else KNOWN
            raise ExpressionError(f"expected an operand, not {_called(token)}", column=token.column, remedy=remedy)
        if token.name == "jsonpath":
            return self._query(token)
        return resolve(token)

    def _query(self, name: Token) -> Operand:
        example = 'For example jsonpath("$.items[0].state").'
        if name.path or not self._is("("):
            raise ExpressionError("jsonpath needs a query in parentheses", column=name.end, remedy=example)
        self._take()
        written = self._take()
        if type(written.value) is not str:
            raise ExpressionError("jsonpath takes one query in quotes", column=written.column, remedy=example)
        closing = self._expect(")")
        from laya_uptime.domain.json_query import QueryError, compiled  # noqa: PLC0415  46 ms, and few use it

        try:
            value = compiled(written.value)
        except QueryError as error:
            raise ExpressionError(
                f"no JSONPath: {error.what}",
                column=written.columns[min(error.at, len(written.value))],
                remedy="RFC 9535 without extensions.",
            ) from error
        return query(self._text[name.column - 1 : closing.end - 1], value)

    def _literal(self) -> Token:
        token = self._take()
        if token.kind is Kind.END:
            raise ExpressionError("the expression ends where a value is expected", column=token.column)
        if token.kind is not Kind.LITERAL:
            remedy = f'Put texts in quotes: "{token.text}".' if token.kind is Kind.OPERAND else ""
            raise ExpressionError(f"expected a value, not {_called(token)}", column=token.column, remedy=remedy)
        return token

    def _compared(self, operand: Operand, slot: int, operator: Token) -> _Holds:
        symbol = operator.text
        if operand.sort is Sort.TEXTS:
            raise _use_contains(operand, operator)
        if self._peek().kind is Kind.OPERAND:
            return self._compared_with_operand(operand, slot, symbol)
        literal = self._literal()
        _check_sort(operand, literal)
        if symbol not in {"==", "!="} and (operand.sort is Sort.WORD or type(literal.value) in {bool, type(None)}):
            what = f"{operand.text} is a word and has" if operand.sort is Sort.WORD else f"{literal.text} has"
            raise ExpressionError(f"{what} no order", column=operator.column, remedy="Compare it with == or !=.")
        test = values.compared_with(symbol, _value(operand, literal))
        return lambda found: test(found[slot])

    def _compared_with_operand(self, operand: Operand, slot: int, symbol: str) -> _Holds:
        token = self._peek()
        other = self._other(token)
        other_slot = self._slot(other)
        if not set(_TAKES[operand.sort]) & set(_TAKES[other.sort]):
            raise ExpressionError(
                f"{operand.text} is {operand.sort.value}, {other.text} is {other.sort.value}", column=token.column
            )
        return lambda found: values.compare(symbol, found[slot], found[other_slot])

    def _other(self, token: Token) -> Operand:
        try:
            return self._operand()
        except ExpressionError as error:
            if token.path or token.name == "jsonpath":
                raise
            # A bare word after an operator is far more often a text than an operand.
            raise ExpressionError(
                error.what, column=error.column, remedy=f'Put texts in quotes: "{token.text}".'
            ) from error

    def _in(self, operand: Operand) -> Test:
        if operand.sort is Sort.TEXTS:
            raise _use_contains(operand, self._tokens[self._at - 1])
        if not self._is("["):
            if self._peek().kind is not Kind.LITERAL:
                raise ExpressionError(
                    f"expected a list or a range, not {_called(self._peek())}",
                    column=self._peek().column,
                    remedy="For example in [200, 204] or in 200..299.",
                )
            return self._item(operand, alone=True)
        self._take()
        if self._is("]"):
            raise ExpressionError("the list is empty, so nothing is in it", column=self._peek().column)
        tests = [self._item(operand, alone=False)]
        while not self._is("]"):
            if not self._is(","):
                raise ExpressionError(f"expected , or ], not {_called(self._peek())}", column=self._peek().column)
            self._take()
            tests.append(self._item(operand, alone=False))
        self._take()
        return lambda value: any(test(value) for test in tests)

    def _item(self, operand: Operand, *, alone: bool) -> Test:
        """Read a value or a range; `alone` is what stands after `in` without a list around it: a range."""
        low = self._literal()
        _check_sort(operand, low)
        if not self._is(".."):
            if alone:
                raise ExpressionError(
                    f"expected .. after {low.text}",
                    column=low.end,
                    remedy=f"For one value, write {operand.text} == {low.text}.",
                )
            return values.compared_with("==", _value(operand, low))
        self._take()
        high = self._literal()
        _check_sort(operand, high)
        if operand.sort is Sort.WORD or sort_of(low.value) not in {"a number", "a duration", "text"}:
            raise ExpressionError(f"{low.text} has no order", column=low.column, remedy="List the values: in [...].")
        if sort_of(low.value) != sort_of(high.value):
            raise ExpressionError(
                f"{low.text} is {sort_of(low.value)}, {high.text} is {sort_of(high.value)}", column=high.column
            )
        if values.compare(">", low.value, high.value):
            raise ExpressionError(
                f"nothing is in {low.text}..{high.text}",
                column=low.column,
                remedy=f"Write {high.text}..{low.text}.",
            )
        return values.between(low.value, high.value)

    def _contains(self, operand: Operand, operator: Token) -> Test:
        if operand.sort in {Sort.NUMBER, Sort.SIZE, Sort.DURATION}:
            raise ExpressionError(
                f"{operand.text} is {operand.sort.value} and contains nothing",
                column=operator.column,
                remedy=_example(operand),
            )
        literal = self._literal()
        _check_sort(operand, literal)
        return values.containing(literal.value)

    def _matches(self, operand: Operand, operator: Token) -> Test:
        if operand.sort is Sort.TEXTS:
            raise _use_contains(operand, operator)
        if "text" not in _TAKES[operand.sort]:
            raise ExpressionError(
                f"{operand.text} is {operand.sort.value}, a pattern needs text",
                column=operator.column,
                remedy=_example(operand),
            )
        written = self._literal()
        if type(written.value) is not str:
            raise ExpressionError(
                "matches takes a pattern in quotes",
                column=written.column,
                remedy=f'For example {operand.text} matches "{written.text}".',
            )
        from laya_uptime.domain.pattern import PatternError, finder  # noqa: PLC0415  3 MB, and few use it

        try:
            return values.matching(finder(written.value))
        except PatternError as error:
            at = -1 if error.at is None else error.at
            raise ExpressionError(
                error.what,
                column=written.column if at < 0 else written.columns[min(at, len(written.value))],
                remedy="Patterns are RE2: linear in time, without look-around and back-references.",
            ) from error


def _bare(operand: Operand, slot: int, following: Token) -> _Holds:
    if operand.sort is not Sort.JSON:
        raise ExpressionError(f"{operand.text} needs a comparison", column=following.column, remedy=_example(operand))
    return lambda found: values.is_true(found[slot])


def _value(operand: Operand, literal: Token) -> Literal:
    """Return the literal's value; health words are compared in their normal form."""
    if operand.sort is Sort.WORD and type(literal.value) is str:
        return health.normal(literal.value)
    return literal.value


def _check_sort(operand: Operand, literal: Token) -> None:
    """Raise ExpressionError where the operand can never hold a value of the literal's sort."""
    sort = sort_of(literal.value)
    if sort in _TAKES[operand.sort]:
        return
    match operand.sort, literal.value:
        case _, None:
            remedy = "An absent operand makes every comparison false."
        case Sort.DURATION, int() | float() if sort == "a number" and literal.text[-1].isdigit():
            remedy = f"Write {literal.text}ms or {literal.text}s."
        case Sort.JSON, _:
            remedy = "JSON has no durations; compare with a number."
        case ((Sort.NUMBER | Sort.SIZE), str(text)) if text.isdecimal():
            remedy = f"Write {text} without quotes."
        case ((Sort.TEXT | Sort.WORD | Sort.TEXTS), _):
            remedy = f'Write "{literal.text}".'
        case _:
            remedy = _example(operand)
    other = f"never {literal.text}" if sort in {"null", "true or false"} else f"{literal.text} is {sort}"
    raise ExpressionError(f"{operand.text} is {operand.sort.value}, {other}", column=literal.column, remedy=remedy)


def _example(operand: Operand) -> str:
    return f"For example {_EXAMPLES[operand.sort].format(operand.text)}."


def _use_contains(operand: Operand, operator: Token) -> ExpressionError:
    return ExpressionError(f"{operand.text} is {operand.sort.value}", column=operator.column, remedy=_example(operand))


def _no_operator(operand: Operand, found: Token) -> ExpressionError:
    """Return what to say where an operator is expected after an operand."""
    if found.text == "not":
        return ExpressionError(
            "not stands before a comparison", column=found.column, remedy=f"Write not ({operand.text} in ...)."
        )
    if found.kind is not Kind.OPERAND:
        return ExpressionError(
            f"expected an operator after {operand.text}, not {_called(found)}",
            column=found.column,
            remedy=f"Known: {' '.join(_OPERATORS)}.",
        )
    word = found.text.lower()
    near = get_close_matches(word, (*_OPERATORS, "and", "or"), n=1)
    meant = _OPERATORS_ELSEWHERE.get(word) or (near[0] if near else "")
    hint = f"Did you mean '{meant}'? " if meant else ""
    return ExpressionError(
        f"no operator is called {found.text!r}", column=found.column, remedy=f"{hint}Known: {' '.join(_OPERATORS)}."
    )


def _joined(found: Token) -> str:
    """Return the hint for a token after a complete comparison."""
    if found.text.lower() in {"and", "or"}:
        return f"Did you mean '{found.text.lower()}'?"
    return "" if found.text in {")", "]"} else "Join comparisons with 'and' or 'or'."


def _called(token: Token) -> str:
    return "the end" if token.kind is Kind.END else repr(token.text)
