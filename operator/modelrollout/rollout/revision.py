"""Which revision a spec asks for, and what its children are called.

A revision is `<version slug>-<8 hex>`. The hash is taken of what a person wrote (version, model, server, template), never of
anything that was filled in: a new default, preset or operator therefore changes no hash and restarts no pod. Fields that
are absent and fields that are null are the same thing, and the order of keys says nothing.

The algorithm is frozen: a change would give every running version a new name, and with it new pods. A golden test holds it.

Names are short enough that a pod's name begins with its Deployment's full name and a dash. The API server cuts what it makes
a pod's name from to 58 characters; so 36 (resource) + 1 + 11 (slug) + 1 + 8 (hash) + 1 (dash) must not be more.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.server import NAME_LIMIT

SLUG_LIMIT = 11
HASH_DIGITS = 8
SERVER_CONTAINER = "server"
POD_FIELDS = ("version", "model", "server", "template")

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_IMAGE = "spec.server.image"


@dataclass(frozen=True, slots=True)
class RevisionId:
    """`revision` names the children, `version` is for people, `sha256` is the whole hash (64 hex digits)."""

    revision: str
    version: str
    sha256: str


def identify(raw_spec: Mapping[str, Any]) -> RevisionId:
    """Name the revision that a spec, as written, asks for. Raises SpecError when no version can be told from it."""
    version = version_of(raw_spec)
    text = json.dumps(inputs(raw_spec), sort_keys=True, separators=(",", ":"), default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return RevisionId(f"{slug(version)}-{digest[:HASH_DIGITS]}", version, digest)


def inputs(raw_spec: Mapping[str, Any]) -> dict[str, Any]:
    """The pod-shaping fields as written, without nulls: what the hash covers and what a record keeps."""
    return {name: _without_nulls(raw_spec[name]) for name in POD_FIELDS if raw_spec.get(name) is not None}


def version_of(raw_spec: Mapping[str, Any]) -> str:
    """`spec.version`, else the image's tag, else the first 8 characters of its digest. Raises SpecError."""
    if version := raw_spec.get("version"):
        return str(version)
    image = image_of(raw_spec)
    if image is None:
        raise SpecError(_IMAGE, "an image is needed: set server.image")
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if tag:
        return tag
    if not digest:
        return "latest"  # what a container runtime takes for an image without tag and digest
    found = digest.rpartition(":")[2][:HASH_DIGITS]
    if not found:
        raise SpecError(_IMAGE, f'found "{image}", whose digest is empty; write name@sha256:<digest>, or set version')
    return found


def image_of(raw_spec: Mapping[str, Any]) -> str | None:
    """The image that will run: the template's container `server` goes over the short form."""
    for container in (_template_server(raw_spec), raw_spec.get("server")):
        if isinstance(container, Mapping) and (image := container.get("image")):
            return str(image)
    return None


def slug(version: str) -> str:
    """A version in lower-case letters, digits and dashes, at most 11 characters: ``2.1.0`` → ``2-1-0``."""
    words = re.sub(r"[^a-z0-9]+", "-", version.lower()).strip("-")
    return words[:SLUG_LIMIT].rstrip("-") or "v"


def child_name(owner_name: str, revision: str) -> str:
    """`<resource>-<revision>`: Deployment, Service, record and autoscaler of a revision."""
    return f"{owner_name}-{revision}"


def check_name(name: str) -> None:
    """Raise SpecError for the name of a resource whose children could not be named after it."""
    if len(name) > NAME_LIMIT:
        raise SpecError(
            "metadata.name",
            f'"{name}" has {len(name)} characters; use at most {NAME_LIMIT}, because the names of versions and pods are longer',
        )
    if not _DNS_1035.fullmatch(name):
        raise SpecError(
            "metadata.name",
            f'"{name}" cannot name a Service; use a-z, 0-9 and -, begin with a letter and end with a letter or digit',
        )


def _template_server(raw_spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    template = raw_spec.get("template")
    pod = template.get("spec") if isinstance(template, Mapping) else None
    containers = pod.get("containers") if isinstance(pod, Mapping) else None
    return next(_named(containers), None)


def _named(containers: object) -> Iterator[Mapping[str, Any]]:
    for container in containers if isinstance(containers, list) else ():
        if isinstance(container, Mapping) and container.get("name") == SERVER_CONTAINER:
            yield container


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_nulls(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # on its way through the API server 1.0 becomes 1
    return value
