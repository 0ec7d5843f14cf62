"""Evidence as one short text for status, and back, to the last bit.

The text is `1.` (the version of the format) and unpadded base64url of a CRC-32 and the parts one after the other, big-endian:

- a test: `E`, number of alternatives (1 byte), windows (8 bytes, unsigned), what is not invested and the stakes (float64 each);
- a certificate: `C`, number of alternatives of a half (1 byte), the ratio half and the absolute half (float64 each).

Seven alternatives and their certificate take 194 characters. What was cut, damaged or written by somebody else is a
ValueError: the caller starts its evidence afresh, which is always sound.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from math import isnan

from .certificate import Certificate
from .evidence import Evidence

Part = Evidence | Certificate

VERSION = "1."
MOST_ALTERNATIVES = 255
SEAL = 4
"""Bytes of the checksum."""

_TEST, _CERTIFICATE = b"E", b"C"


def encode(*parts: Part) -> str:
    """The parts in their order as one text of letters, digits, `.`, `-` and `_`."""
    data = b"".join(_packed(part) for part in parts)
    sealed = zlib.crc32(data).to_bytes(SEAL, "big") + data
    return VERSION + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def decode(text: str) -> tuple[Part, ...]:
    """The parts that were encoded, in their order. ValueError where the text is of another version, cut or damaged."""
    if not text.startswith(VERSION):
        raise ValueError(f"recorded evidence must begin with {VERSION!r}, found {text[:8]!r}")
    body = text.removeprefix(VERSION)
    try:
        sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"recorded evidence is not base64url ({error}), found {text[:24]!r}") from None
    data = sealed[SEAL:]
    if zlib.crc32(data).to_bytes(SEAL, "big") != sealed[:SEAL]:
        raise ValueError(
            f"recorded evidence is cut or damaged, found {len(text)} characters that begin with {text[:24]!r}"
        )
    parts: list[Part] = []
    at = 0
    while at < len(data):
        part, at = _unpacked(data, at)
        parts.append(part)
    return tuple(parts)


def _packed(part: Part) -> bytes:
    if isinstance(part, Evidence):
        count = _counted(len(part.stakes))
        return _TEST + struct.pack(f">BQ{1 + count}d", count, part.windows, part.uninvested, *part.stakes)
    count = _counted(len(part.ratio))
    return _CERTIFICATE + struct.pack(f">B{2 * count}d", count, *part.ratio, *part.absolute)


def _counted(count: int) -> int:
    if not 1 <= count <= MOST_ALTERNATIVES:
        raise ValueError(f"a test has 1 to {MOST_ALTERNATIVES} alternatives, found {count}")
    return count


def _unpacked(data: bytes, at: int) -> tuple[Part, int]:
    """The part that begins there, and where the next one does."""
    kind, count = data[at : at + 1], data[at + 1] if at + 1 < len(data) else 0
    if kind not in (_TEST, _CERTIFICATE) or not count:
        raise ValueError(f"recorded evidence has no part at byte {at}, found {data[at : at + 2]!r}")
    layout = struct.Struct(f">Q{1 + count}d" if kind == _TEST else f">{2 * count}d")
    end = at + 2 + layout.size
    if end > len(data):
        raise ValueError(f"recorded evidence is cut: {end} bytes are needed, found {len(data)}")
    values = layout.unpack_from(data, at + 2)
    part: Part
    if kind == _TEST:
        windows, uninvested, *stakes = values
        part = Evidence(uninvested, windows, _logs(stakes))
        if not 0.0 <= uninvested <= 1.0:
            raise ValueError(f"capital that is not invested must be 0 to 1, found {uninvested}")
    else:
        part = Certificate(_logs(values[:count]), _logs(values[count:]))
    return part, end


def _logs(values: list[float] | tuple[float, ...]) -> tuple[float, ...]:
    """Logarithms of capital: anything below +inf."""
    for value in values:
        if isnan(value) or value == float("inf"):
            raise ValueError(f"a logarithm of capital must be below infinity, found {value}")
    return tuple(values)
