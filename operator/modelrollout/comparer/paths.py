"""The small language that names a place in a JSON answer: ``predictions[*].score``.

Names are joined by dots, ``[0]`` is an element of a list, ``[*]`` all of them. There are no conditions and no descent into unknown
depths, so a path costs as much as it is long, whatever the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

EVERY = None
Segment = str | int | None
"""A name, the number of an element, or `EVERY` element."""
Path = tuple[Segment, ...]

_SEGMENT = re.compile(r"\.?([A-Za-z_][-A-Za-z0-9_]*)|\[([0-9]{1,4}|\*)\]")


class Missing(Exception):  # noqa: N818  an answer, told apart from a JSON null
    """There is no such place in the answer."""


def parse(text: str) -> Path:
    """The segments of a path; none for the whole answer. Raises ValueError."""
    found: list[Segment] = []
    at = 0
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None or (text[at] == ".") != (at > 0 and match[1] is not None):
            raise ValueError(f"{text!r} is no path: at character {at + 1}")
        name, index = match.groups()
        found.append(name if name is not None else EVERY if index == "*" else int(index))
        at = match.end()
    return tuple(found)


def pick(value: Any, path: Path) -> list[Any]:
    """The values at a place: one, or with ``[*]`` one for each element. Raises Missing."""
    return list(_pick(value, path))


def _pick(value: Any, path: Path) -> Iterator[Any]:
    if not path:
        yield value
        return
    head, rest = path[0], path[1:]
    if head is EVERY:
        if not isinstance(value, list):
            raise Missing
        for item in value:
            yield from _pick(item, rest)
        return
    yield from _pick(_step(value, head), rest)


def _step(value: Any, segment: str | int) -> Any:
    if isinstance(segment, str):
        if isinstance(value, dict) and segment in value:
            return value[segment]
    elif isinstance(value, list) and segment < len(value):
        return value[segment]
    raise Missing


def without(value: Any, paths: Sequence[Path]) -> Any:
    """The value less what stands at some places; the original is not changed."""
    for path in paths:
        value = _without(value, path)
    return value


def _without(value: Any, path: Path) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(value, dict) and isinstance(head, str) and head in value:
        if not rest:
            return {name: item for name, item in value.items() if name != head}
        return value | {head: _without(value[head], rest)}
    if isinstance(value, list) and not isinstance(head, str):
        chosen = range(len(value)) if head is EVERY else range(head, min(head + 1, len(value)))
        if not rest:
            return [item for index, item in enumerate(value) if index not in chosen]
        return [_without(item, rest) if index in chosen else item for index, item in enumerate(value)]
    return value
