"""Manifests in the spelling that the API server stores.

Whether an object is still as we want it is judged by comparing what we send with what is stored, so we send what would
be stored: `cpu: "0.5"` becomes "500m", `memory: 1024Mi` becomes "1Gi". A zero value of a field that the server would fill
with a default (`imagePullPolicy: ""`, `failureThreshold: 0`) is left out, and so is null. Other zero values are left alone:
the server drops or keeps them, and the comparison takes both as the same. It cannot do that inside the few maps and lists
of a pod that are owned as one value; in these, defaults are written out and empty texts left out here.

Facts on quantities: the type Quantity of k8s.io/apimachinery. All of this is checked against a real API server in tests/api.
"""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

_NUMBER = re.compile(r"^([+-]?)(\d+(?:\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$")

_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_NAMES = {power: name for name, power in _DECIMAL.items()}
_NANO = Fraction(1, 10**9)
_SIGNIFICANT_IN_BINARY = 1024

# Fields that are given a default when they are empty or zero.
_DEFAULTED = frozenset(
    {
        "dnsPolicy",
        "failureThreshold",
        "imagePullPolicy",
        "periodSeconds",
        "protocol",
        "restartPolicy",
        "schedulerName",
        "scheme",
        "successThreshold",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "timeoutSeconds",
    }
)
# Parts of a pod that server-side apply owns as one value, with the defaults that the server writes into them.
_AS_ONE: dict[str, dict[str, Any]] = {
    "envFrom": {},
    "tolerations": {},
    "fieldRef": {"apiVersion": "v1"},
    "resourceFieldRef": {"divisor": "0"},
    "serviceAccountToken": {"expirationSeconds": 3600},
    "secretKeyRef": {},
    "configMapKeyRef": {},
}
# Maps whose keys are names that people chose, not fields.
_FREE = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "data"})
_QUANTITY_MAPS = frozenset({"limits", "requests"})
_QUANTITIES = frozenset({"sizeLimit", "divisor", "averageValue"})


def canonical(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The same manifest as the API server would write it. The original is not changed."""
    spelled = _spell(manifest)
    assert isinstance(spelled, dict)
    return spelled


def quantity(text: str | float) -> str:
    """A resource quantity in canonical form. Text that is no quantity is answered as it is, for the server to refuse."""
    found = _NUMBER.match(str(text).strip())
    if not found:
        return str(text)
    sign, digits, suffix = found.group(1), found.group(2), found.group(3) or ""
    value = Fraction(digits + "0" if digits.endswith(".") else digits)
    write: Callable[[Fraction], str] = _write_decimal
    if suffix in _BINARY:
        value *= _BINARY[suffix]
        if value >= _SIGNIFICANT_IN_BINARY and value.denominator == 1:
            write = _write_binary
    elif suffix in _DECIMAL:
        value *= Fraction(10) ** _DECIMAL[suffix]
    else:
        value *= Fraction(10) ** int(suffix[1:])
        write = _write_exponent
    value = -(-value // _NANO) * _NANO  # no finer than a billionth, and rounded up
    return f"-{write(value)}" if sign == "-" and value else write(value)


def _write_binary(value: Fraction) -> str:
    whole, name = int(value), ""
    for suffix, size in _BINARY.items():
        if int(value) % size == 0:
            whole, name = int(value) // size, suffix
    return f"{whole}{name}"


def _write_decimal(value: Fraction) -> str:
    whole, power = _by_thousands(value)
    return f"{whole}{_DECIMAL_NAMES[power]}"


def _write_exponent(value: Fraction) -> str:
    whole, power = _by_thousands(value)
    return f"{whole}e{power}" if power else str(whole)


def _by_thousands(value: Fraction) -> tuple[int, int]:
    """The value as a whole number times the largest power of 1000 that there is a suffix for."""
    if not value:
        return 0, 0
    for power in sorted(_DECIMAL_NAMES, reverse=True):
        scaled = value / Fraction(10) ** power
        if scaled.denominator == 1:
            return int(scaled), power
    raise AssertionError("a multiple of a billionth has a power")


def _spell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _spell_field(name, below)
            for name, below in value.items()
            if below is not None and not (name in _DEFAULTED and not below)
        }
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    return value


def _spell_field(name: str, value: Any) -> Any:
    if name in _FREE:
        return value
    if name in _QUANTITY_MAPS and isinstance(value, Mapping):
        return {resource: quantity(amount) for resource, amount in value.items() if amount is not None}
    if name in _QUANTITIES and isinstance(value, str | int | float):
        return quantity(value)
    if name in _AS_ONE:
        return _spell_as_one(_spell(value), _AS_ONE[name])
    return _spell(value)


def _spell_as_one(value: Any, defaults: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_spell_as_one(item, defaults) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name: _spell_as_one(below, {}) for name, below in value.items() if below != ""}
    return {**defaults, **kept}
