"""Whether an answer is what a golden request expects; if not, what was expected and what came, fit to be shown.

What a pod sends is foreign text that ends up in status, Events and logs: it is cut, and what is no printable character is escaped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from modelrollout.api.warmup import Expectation, GoldenRequest, JsonExpectation

SHOWN = 120
"""Characters of an answer in a sentence."""
_PART = re.compile(r"\.?([A-Za-z_][-A-Za-z0-9_]*)|\[([0-9]+)\]")
_OK = 200


def complaint(request: GoldenRequest, status: int, body: bytes) -> str:
    """What is wrong with an answer; empty if it is as expected."""
    expected = request.expect or Expectation()
    wanted = expected.status or _OK
    if status != wanted:
        return f"expected status {wanted}, got {status}: {shown(body)}"
    if expected.body is not None and _text(body).strip() != expected.body.strip():
        return f"expected {shown(expected.body)}, got {shown(body)}"
    if expected.json_ is None:
        return ""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return f"expected JSON, got {shown(body)}"
    return next((told for one in expected.json_ if (told := _differs(one, found))), "")


def _differs(expected: JsonExpectation, found: Any) -> str:
    try:
        value = at(found, expected.path)
    except LookupError:
        return f"expected something at {expected.path}, got {shown(found)}"
    if expected.equals is None:
        return ""
    tolerance = expected.tolerance.number if expected.tolerance is not None else 0.0
    if equal(expected.equals, value, tolerance):
        return ""
    within = f" ± {expected.tolerance}" if tolerance else ""
    return f"expected {shown(expected.equals)}{within} at {expected.path}, got {shown(value)}"


def at(value: Any, path: str) -> Any:
    """The value at a path. Raises LookupError where there is none."""
    for name, index in _parts(path):
        if name:
            if not isinstance(value, dict):
                raise LookupError(path)
            value = value[name]
        else:
            if not isinstance(value, list):
                raise LookupError(path)
            value = value[int(index)]
    return value


def _parts(path: str) -> Iterator[tuple[str, str]]:
    return ((part.group(1) or "", part.group(2) or "") for part in _PART.finditer(path.removeprefix("$")))


def equal(expected: Any, found: Any, tolerance: float) -> bool:
    """Equality of JSON values; numbers may differ by `tolerance`, and true is no number."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return _near(expected, found, tolerance)
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(equal(expected[key], found[key], tolerance) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        pairs = zip(expected, found, strict=False)
        return len(expected) == len(found) and all(equal(one, other, tolerance) for one, other in pairs)
    return type(expected) is type(found) and bool(expected == found)


def _near(expected: float, found: float, tolerance: float) -> bool:
    if expected == found:
        return True
    try:
        difference = abs(float(expected) - float(found))
    except OverflowError:
        return False
    # 0.1 + 0.2 is to be within 0.1 of 0.2: what the two lose in binary is no difference.
    return math.isfinite(difference) and difference <= tolerance * (1 + 1e-9)


def shown(value: object) -> str:
    """An answer or a part of one as a sentence can hold it."""
    if isinstance(value, bytes):
        text = _text(value[: 4 * SHOWN])
    elif isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (ValueError, RecursionError):
            text = "a value that is nested too deeply"
    text = "".join(character if character.isprintable() else _escaped(character) for character in text[: 2 * SHOWN])
    text = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
    return text or "nothing"


def _escaped(character: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\u{ord(character):04x}")


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace")
