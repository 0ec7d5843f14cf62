"""A very small PromQL, enough for what the Sampler asks: an evaluator over samples in memory.

Vector selectors (`=`, `!=`, `=~`, `!~`, five minutes of look-back, staleness), `sum|max|min|count|group by`, `timestamp`,
`last_over_time`, numbers, `+ - * /` and brackets. It follows Prometheus where the Sampler could notice a difference: stale markers,
`timestamp()` of a selector, one-to-one matching of operands, aggregation labels.
"""

import functools
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping

LOOKBACK = 300.0
_REMEMBERED = 256
STALE = None
"""What a scrape writes for a series that has vanished."""

Labels = tuple[tuple[str, str], ...]
Vector = dict[Labels, float]


class Samples:
    """Series in memory: append-only, each with times and values."""

    def __init__(self) -> None:
        self._series: dict[str, dict[Labels, tuple[list[float], list[float | None]]]] = {}
        self._fitting: dict[tuple[str, Callable[[dict[str, str]], bool]], tuple[int, list[Labels]]] = {}

    def add(self, name: str, labels: Mapping[str, str], at: float, value: float | None) -> None:
        """One sample; STALE ends the series."""
        key = tuple(sorted(labels.items()))
        times, values = self._series.setdefault(name, {}).setdefault(key, ([], []))
        assert not times or times[-1] < at, "samples come in order"
        times.append(at)
        values.append(value)

    def select(
        self,
        name: str,
        fits: Callable[[dict[str, str]], bool],
        at: float,
        span: float = LOOKBACK,
        *,
        dead: bool = False,
    ):
        """(labels, time, value) of each series that is alive at the time, or (`dead`) was so at some time in the span."""
        series = self._series.get(name, {})
        for labels in self._matching(name, series, fits):
            times, values = series[labels]
            last = bisect_right(times, at) - 1
            while dead and last >= 0 and values[last] is STALE:
                last -= 1
            if last >= 0 and times[last] > at - span and values[last] is not STALE:
                yield labels, times[last], values[last]

    def _matching(
        self, name: str, series: Mapping[Labels, object], fits: Callable[[dict[str, str]], bool]
    ) -> list[Labels]:
        """Which series fit, found once for all points of a range: series are only ever added."""
        known = self._fitting.get((name, fits))
        if known is None or known[0] != len(series):
            known = self._fitting[name, fits] = (len(series), [labels for labels in series if fits(dict(labels))])
            while len(self._fitting) > _REMEMBERED:
                del self._fitting[next(iter(self._fitting))]
        return known[1]

    def names(self) -> Iterable[str]:
        return self._series


class QueryError(Exception):
    """The query is not understood; Prometheus answers 400 (bad_data)."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*")|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w])|(?P<duration>\d+s)"""
    r"""|(?P<name>[a-zA-Z_:][\w:]*)|(?P<operator>=~|!~|!=|[=(){}\[\],+*/-]))"""
)


def evaluate(query: str, samples: Samples, at: float) -> Vector | float:
    """The value of an expression at one time."""
    return _parsed(query)(samples, at)


@functools.lru_cache(maxsize=512)
def _parsed(query: str):
    parser = _Parser(query)
    expression = parser.expression()
    parser.end()
    return expression


class _Parser:
    def __init__(self, query: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while query[place:].strip():
            found = _TOKEN.match(query, place)
            if not found:
                raise QueryError(f"parse error at {query[place : place + 20]!r}")
            self.tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            place = found.end()
        self.place = 0

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        if self.place >= len(self.tokens) or (wanted is not None and self.peek() != wanted):
            raise QueryError(f"parse error: {wanted or 'more'} expected, found {self.peek() or 'the end'!r}")
        self.place += 1
        return self.tokens[self.place - 1][1]

    def end(self) -> None:
        if self.place != len(self.tokens):
            raise QueryError(f"parse error: unexpected {self.peek()!r}")

    def expression(self):
        left = self.product()
        while self.peek() in ("+", "-"):
            left = _binary(self.take(), left, self.product())
        return left

    def product(self):
        left = self.atom()
        while self.peek() in ("*", "/"):
            left = _binary(self.take(), left, self.atom())
        return left

    def atom(self):
        if self.peek() == "(":
            self.take("(")
            inner = self.expression()
            self.take(")")
            return inner
        kind, text = self.tokens[self.place] if self.place < len(self.tokens) else ("", "")
        if kind == "number":
            self.take()
            return lambda _samples, _at: float(text)
        if kind != "name":
            raise QueryError(f"parse error: unexpected {text or 'end'!r}")
        self.take()
        if text in _AGGREGATES:
            return self.aggregate(text)
        if text == "timestamp":
            return self.bracketed(lambda name, fits, _: _selector(name, fits, LOOKBACK, times=True))
        if text == "last_over_time":
            return self.bracketed(lambda name, fits, span: _selector(name, fits, span, dead=True))
        return _selector(text, self.matchers(), LOOKBACK)

    def aggregate(self, kind: str):
        self.take("by")
        self.take("(")
        labels = []
        while self.peek() != ")":
            labels.append(self.take())
            if self.peek() == ",":
                self.take()
        self.take(")")
        self.take("(")
        inner = self.expression()
        self.take(")")
        return _aggregate(kind, frozenset(labels), inner)

    def bracketed(self, make):
        self.take("(")
        name, fits, span = self.take(), self.matchers(), LOOKBACK
        if self.peek() == "[":
            self.take("[")
            span = float(self.take()[:-1])
            self.take("]")
        self.take(")")
        return make(name, fits, span)

    def matchers(self) -> Callable[[dict[str, str]], bool]:
        tests = []
        if self.peek() == "{":
            self.take("{")
            while self.peek() != "}":
                label, operator, text = self.take(), self.take(), _unquoted(self.take())
                tests.append(_test(label, operator, text))
                if self.peek() == ",":
                    self.take()
            self.take("}")
        return lambda labels: all(test(labels) for test in tests)


def _unquoted(literal: str) -> str:
    if not literal.startswith('"'):
        raise QueryError(f"parse error: a string expected, found {literal!r}")

    def escape(found: re.Match[str]) -> str:
        if found[1].startswith("x"):
            return chr(int(found[1][1:], 16))
        if found[1] not in _ESCAPES:
            raise QueryError(f"parse error: unknown escape \\{found[1]}")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", escape, literal[1:-1])


_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t", "r": "\r"}


def _test(label: str, operator: str, text: str) -> Callable[[dict[str, str]], bool]:
    if operator in ("=", "!="):
        return lambda labels: (labels.get(label, "") == text) == (operator == "=")
    if operator not in ("=~", "!~"):
        raise QueryError(f"parse error: unexpected {operator!r}")
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise QueryError(f"error parsing regexp: {error}") from error
    return lambda labels: (pattern.fullmatch(labels.get(label, "")) is not None) == (operator == "=~")


def _selector(name: str, fits, span: float, *, times: bool = False, dead: bool = False):
    def value(samples: Samples, at: float) -> Vector:
        return {
            (*labels, ("__name__", name)) if not times else labels: moment if times else number
            for labels, moment, number in samples.select(name, fits, at, span, dead=dead)
        }

    return value


_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "count": len,
    "group": lambda _: 1.0,
}


def _aggregate(kind: str, by: frozenset[str], inner):
    def value(samples: Samples, at: float) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, number in inner(samples, at).items():
            groups.setdefault(tuple(pair for pair in labels if pair[0] in by), []).append(number)
        return {labels: float(_AGGREGATES[kind](numbers)) for labels, numbers in groups.items()}

    return value


def _binary(operator: str, left, right):
    def value(samples: Samples, at: float):
        one, two = left(samples, at), right(samples, at)
        if isinstance(one, float) and isinstance(two, float):
            return _apply(operator, one, two)
        if isinstance(one, float):
            return {_nameless(labels): _apply(operator, one, number) for labels, number in two.items()}
        if isinstance(two, float):
            return {_nameless(labels): _apply(operator, number, two) for labels, number in one.items()}
        others = {_nameless(labels): number for labels, number in two.items()}
        ours = {_nameless(labels): number for labels, number in one.items()}
        return {labels: _apply(operator, ours[labels], others[labels]) for labels in ours if labels in others}

    return value


def _nameless(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "__name__")


def _apply(operator: str, one: float, two: float) -> float:
    if operator == "/":
        return one / two if two else math.nan
    return one + two if operator == "+" else one - two if operator == "-" else one * two
