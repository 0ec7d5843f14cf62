"""The PromQL that we write ourselves, and the filling of queries that users write.

Nothing that anybody wrote is ever put into a query as it is: names of series and labels were checked by the API's patterns,
values become quoted string literals, and texts inside a regular expression lose their meta-characters first. A regular
expression of PromQL is anchored at both ends by definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from modelrollout.api.analysis import Matcher, Selector

_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f"'`\\]""")
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def content(text: str) -> str:
    """The text as content of a string literal, whichever quotes stand around it."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] != "\\" else "\\\\", text)


def literal(text: str) -> str:
    """A quoted string."""
    return f'"{content(text)}"'


def exactly(text: str) -> str:
    """A regular expression (RE2) that matches this text only."""
    return _META.sub(lambda found: "\\" + found[0], text)


def any_of(texts: Iterable[str]) -> str:
    """A regular expression that matches one of these texts."""
    return "|".join(exactly(text) for text in texts)


def is_one_of(label: str, texts: Sequence[str]) -> str:
    """The matcher for a label that has one of these values."""
    if len(texts) == 1:
        return f"{label}={literal(texts[0])}"
    return f"{label}=~{literal(any_of(texts))}"


def is_none_of(label: str, texts: Sequence[str]) -> str:
    """The matcher for a label that has none of these values."""
    if len(texts) == 1:
        return f"{label}!={literal(texts[0])}"
    return f"{label}!~{literal(any_of(texts))}"


def matches(label: str, expression: str) -> str:
    """The matcher for a regular expression of our own."""
    return f"{label}=~{literal(expression)}"


def matchers(selector: Selector) -> tuple[str, ...]:
    """All matchers of a selector as the user wrote it."""
    return tuple(text for matcher in selector.match for text in _matcher(matcher))


def _matcher(matcher: Matcher) -> list[str]:
    found = []
    if matcher.value is not None:
        found.append(is_one_of(matcher.label, [matcher.value]))
    if matcher.values:
        found.append(is_one_of(matcher.label, matcher.values))
    if matcher.not_:
        found.append(is_none_of(matcher.label, matcher.not_))
    return found or [f'{matcher.label}!=""']


def select(series: str, conditions: Iterable[str]) -> str:
    """An instant vector selector."""
    return f"{series}{{{','.join(conditions)}}}"


def deduplicated_sum(selector: str, by: Sequence[str]) -> str:
    """Counters summed up by labels, each target once.

    A pod that two jobs scrape (a PodMonitor and annotations, say) has each series twice, with one `instance` and two `job`s.
    """
    labels = ",".join(by)
    inner = f"sum by ({labels},instance,job) ({selector})"
    return f"sum by ({labels}) (max by ({labels},instance) ({inner}))"


PRESENCE = 1e11
"""Each target that is up adds this much to `presence`, beside the time of its last scrape."""


def presence(selector: str, by: Sequence[str]) -> str:
    """How many targets are up and when they were last scraped, as one number for each group: see `decode_presence`."""
    return f"sum by ({','.join(by)}) ({selector} * ({PRESENCE:.0f} + timestamp({selector})))"


def decode_presence(value: float) -> tuple[int, float]:
    """(targets that are up, mean time of their last scrape in seconds since 1970); (0, 0.0) if none is."""
    targets = int(value // PRESENCE)
    return (targets, (value - targets * PRESENCE) / targets) if targets else (0, 0.0)


def fill(template: str, values: Mapping[str, str]) -> str:
    """A user's query with `{{name}}` filled in, each as content of a string literal. Raises KeyError for an unknown name."""
    return _PLACE.sub(lambda found: content(values[found[1]]), template)


def places(template: str) -> set[str]:
    """The names that a template asks for."""
    return set(_PLACE.findall(template))
