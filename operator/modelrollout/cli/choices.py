"""Words that options take. Apart from what they choose between, so that reading the command line loads none of it."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """Documents for machines."""

    JSON = "json"
    YAML = "yaml"


class Listing(StrEnum):
    """Ways to print objects, as kubectl calls them."""

    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"


class Report(StrEnum):
    """Forms of a report."""

    TEXT = "text"
    HTML = "html"
    JSON = "json"


class Goal(StrEnum):
    """What `wait` waits for."""

    PROMOTED = "promoted"
    PAUSED = "paused"
