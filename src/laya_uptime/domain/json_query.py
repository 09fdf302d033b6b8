"""RFC 9535 JSONPath over documents that come from strangers: linear patterns, and a ceiling on the work.

The library follows the standard; three things are replaced through its own hooks:
`match()` and `search()` use RE2, because the standard library's engine can hang on `(a+)+$`;
work is charged to a budget, because `$..*..*` over a nested document never ends;
nodes do not carry their path, because a long key would be copied into each of its descendants.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError, JSONPathMatch, JSONPathSyntaxError
from jsonpath.filter import BaseExpression, RelativeFilterQuery, RootFilterQuery, StringLiteral
from jsonpath.function_extensions import ExpressionType, FilterFunction
from jsonpath.parse import Parser
from jsonpath.stream import TokenStream
from jsonpath.token import TOKEN_SELF, Token

from laya_uptime.domain.pattern import PatternError, finder, matcher
from laya_uptime.domain.values import ABSENT, Absent, Nodes

# One evaluation may visit some 50,000 values: a fraction of a second. Each visit costs as much as looking at twenty
# members of a list or an object, and a visited list or object pays for all its members, because `..` looks at each.
# One pass over half a million plain members, the most that 1 MiB can hold, stays possible.
_WORK = 1_500_000
_VISIT = 20
_MOST_PATTERNS = 64  # patterns kept compiled; those that come out of a document must not pile up
_BUDGET = "budget"
_TOKEN = re.compile(r"'?TOKEN_([A-Z_]+)'?")


class QueryError(ValueError):
    """The query is no JSONPath. `at` is the index of the offending part in it."""

    def __init__(self, what: str, at: int) -> None:
        """Keep what is wrong and where."""
        self.what = what
        self.at = at
        super().__init__(what)


def compiled(query: str) -> Callable[[object], object]:
    """Return a function from a document to the query's value. Raise QueryError for what is no JSONPath.

    A singular query (RFC 9535, 2.3.5.1) gives the value itself, any other `Nodes`. Where nothing was found, or the
    budget ran out, it gives `Absent`.
    """
    try:
        parsed = _ENVIRONMENT.compile(query)
    except JSONPathError as error:
        token = error.token
        at = len(query) if token is None or token.index < 0 else token.index
        raise QueryError(_plain(str(error.message)), at) from error
    except (OverflowError, ValueError) as error:  # the library lets int() speak for itself: $[0:1e3], $[?@.a == 1e999]
        raise QueryError("a number in it cannot be used", 0) from error
    if not isinstance(parsed, JSONPath):
        raise QueryError("a union of queries is not in RFC 9535", 0)
    path = _Path(env=_ENVIRONMENT, segments=parsed.segments)
    is_singular = path.singular_query()

    def value(document: object) -> object:
        if not isinstance(document, dict | list):
            return ABSENT
        try:
            nodes = path.finditer(document, filter_context={_BUDGET: _Budget()})
            found = tuple(node.obj for node in nodes)
        except _TooMuch:
            return Absent("the query is too much work on this document")
        except (JSONPathError, RecursionError):
            return Absent("the document is nested too deeply")
        if not found:
            return ABSENT
        return found[0] if is_singular else Nodes(found)

    return value


def _plain(message: str) -> str:
    """Return the library's message without the names of its token classes."""
    if "expected 'TOKEN_ROOT'" in message:
        return "a query begins with $"
    return _TOKEN.sub(lambda found: found[1].lower().replace("_", " "), message)


class _TooMuch(Exception):
    """The budget of one evaluation is spent."""


class _Budget:
    """What is left of one evaluation's work."""

    def __init__(self) -> None:
        self.left = _WORK

    def charge(self, visited: object) -> None:
        self.left -= _VISIT + (len(visited) if isinstance(visited, dict | list) else 0)
        if self.left < 0:
            raise _TooMuch


class _Node(JSONPathMatch):
    """A visited value. It pays for each child, and keeps neither children nor path."""

    __slots__ = ()

    def new_child(self, obj: object, key: int | str) -> JSONPathMatch:  # noqa: ARG002  the library's signature
        context = self.filter_context()
        context[_BUDGET].charge(obj)
        return _Node(filter_context=context, obj=obj, parent=None, path="", parts=(), root=self.root)

    def add_child(self, *children: JSONPathMatch) -> None:
        pass


class _Path(JSONPath):
    """A path, at the top or inside a filter, whose nodes pay."""

    __slots__ = ()

    def finditer(self, data: object, *, filter_context: Mapping[str, object] | None = None) -> Iterable[JSONPathMatch]:
        context = filter_context or {_BUDGET: _Budget()}
        budget = context[_BUDGET]
        assert isinstance(budget, _Budget)
        budget.charge(data)
        root: object = data
        nodes: Iterable[JSONPathMatch] = [
            _Node(filter_context=context, obj=data, parent=None, path="", parts=(), root=root)  # type: ignore[arg-type]
        ]
        for segment in self.segments:
            nodes = segment.resolve(nodes)
        return nodes


class _Parser(Parser):
    """The library's parser; queries inside filters become paths that pay."""

    def parse_absolute_query(self, stream: TokenStream) -> BaseExpression:
        stream.next()
        return RootFilterQuery(_Path(env=self.env, segments=self.parse_query(stream)))

    def parse_relative_query(self, stream: TokenStream) -> BaseExpression:
        stream.eat(TOKEN_SELF)
        return RelativeFilterQuery(_Path(env=self.env, segments=self.parse_query(stream)))


class _Pattern(FilterFunction):
    """`match()` or `search()` (RFC 9535, 2.4.6 and 2.4.7) with RE2. A pattern that is none matches nothing."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012  the library's declaration
    return_type = ExpressionType.LOGICAL

    def __init__(self, prepare: Callable[[str], Callable[[str], bool]]) -> None:
        self._prepare = prepare
        self._prepared: dict[str, Callable[[str], bool]] = {}

    def check(self, pattern: str) -> None:
        """Raise PatternError for a pattern that cannot be used."""
        self._prepare(pattern)

    def __call__(self, value: object, pattern: object) -> bool:
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        test = self._prepared.get(pattern)
        if test is None:
            try:
                test = self._prepare(pattern)
            except PatternError:
                return False
            if len(self._prepared) >= _MOST_PATTERNS:
                self._prepared.clear()
            self._prepared[pattern] = test
        return test(value)


class _Environment(JSONPathEnvironment):
    """RFC 9535 and nothing beside it."""

    parser_class = _Parser

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions["match"] = _Pattern(matcher)
        self.function_extensions["search"] = _Pattern(finder)

    def check_well_typedness(self, token: Token, func: FilterFunction, args: list[BaseExpression]) -> None:
        super().check_well_typedness(token, func, args)
        if isinstance(func, _Pattern) and isinstance(args[1], StringLiteral):
            try:
                func.check(args[1].value)
            except PatternError as error:
                raise JSONPathSyntaxError(error.what, token=token) from error


_ENVIRONMENT = _Environment(strict=True)
