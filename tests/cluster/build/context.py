"""The files of an image build: a folder less what its .dockerignore leaves out, plus folders from elsewhere.

The same selection is hashed (to know whether an image must be built again) and copied (to build it), so what was hashed is
what is built. Patterns follow .dockerignore: the last matching line decides, `!` takes back in, a match on a folder counts
for everything below it.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """One line of a .dockerignore."""

    text: str
    keeps: bool

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches a relative path that the line names itself (not what is below it)."""
        meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        pieces = re.split(r"(\*\*/|\*\*|\*|\?)", self.text)
        return re.compile("".join(meant.get(piece, re.escape(piece)) for piece in pieces))

    def names(self, path: str) -> bool:
        """Whether the line names this path or a folder that it lies in."""
        parts = path.split("/")
        return any(self.pattern.fullmatch("/".join(parts[:length])) for length in range(1, len(parts) + 1))


def rules(text: str) -> list[Rule]:
    """The lines of a .dockerignore that say something."""
    found = []
    for raw in text.splitlines():
        line = raw.strip()
        if line and not line.startswith("#"):
            keeps = line.startswith("!")
            found.append(Rule(line.removeprefix("!").strip().strip("/").removeprefix("./"), keeps))
    return found


def ignored(path: str, ignore: Sequence[Rule]) -> bool:
    """Whether a path (relative, with slashes) is left out."""
    verdict = False
    for rule in ignore:
        if rule.names(path):
            verdict = not rule.keeps
    return verdict


def selected(context: Path, also: Sequence[str] = ()) -> Iterator[str]:
    """Relative paths of the files that belong to the context, sorted; `also` are never left out."""
    file = context / ".dockerignore"
    ignore = rules(file.read_text()) if file.exists() else []
    taken_back = [rule.text for rule in ignore if rule.keeps]
    for folder, names, files in os.walk(context):
        here = Path(folder).relative_to(context)
        names[:] = sorted(name for name in names if _may_hold((here / name).as_posix(), ignore, taken_back))
        for name in sorted(files):
            path = (here / name).as_posix()
            if path in also or not ignored(path, ignore):
                yield path


def _may_hold(folder: str, ignore: Sequence[Rule], taken_back: Sequence[str]) -> bool:
    """Whether anything in a folder can belong to the context; saves walking through .git and virtual environments."""
    return not ignored(folder, ignore) or any(text.startswith((f"{folder}/", "*")) for text in taken_back)


def digest(context: Path, folders: Mapping[str, Path], also: Sequence[str] = ()) -> str:
    """Hash of names, permissions and contents of everything that `stage` would copy."""
    total = hashlib.sha256()
    for name, source in _all_files(context, folders, also):
        total.update(f"{name}\0{source.lstat().st_mode & 0o111:o}\0".encode())
        total.update(str(source.readlink()).encode() if source.is_symlink() else _content(source))
    return total.hexdigest()


def stage(context: Path, target: Path, folders: Mapping[str, Path], also: Sequence[str] = ()) -> None:
    """Copy the context to `target`, which must not exist."""
    target.mkdir()
    for name, source in _all_files(context, folders, also):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place, follow_symlinks=False)


def _all_files(context: Path, folders: Mapping[str, Path], also: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for path in selected(context, also):
        if not path.startswith(tuple(f"{folder}/" for folder in folders)):
            yield path, context / path
    for folder, source in sorted(folders.items()):
        for file in sorted(source.iterdir()):
            yield f"{folder}/{file.name}", file


def _content(file: Path) -> bytes:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").digest()
