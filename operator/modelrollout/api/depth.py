"""How deep what others wrote may be nested before it is looked at.

Parts of a pod template are taken by the API server whatever they hold, up to 10,000 levels deep. Code that walks such a value by
calling itself ends in a RecursionError, or takes more stack than there is. So depth is measured first, without recursion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEEPEST = 64
"""Levels; the deepest field of a pod is at about 15."""


def too_deep(value: Any, most: int = DEEPEST) -> bool:
    """Whether maps and lists are nested more than `most` levels deep."""
    level = [value]
    for _ in range(most):
        inner = (one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list))
        level = [child for children in inner for child in children if isinstance(child, Mapping | list)]
        if not level:
            return False
    return True
