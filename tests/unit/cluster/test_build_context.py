"""The files of an image build are chosen as .dockerignore says."""

from pathlib import Path

import pytest

from tests.cluster.build.context import digest, ignored, rules, selected, stage

ONLY_OPERATOR = """
# everything but the operator
*
!operator
!README.md
**/__pycache__
"""


@pytest.mark.parametrize(
    ("path", "text", "left_out"),
    [
        ("a.txt", "", False),
        ("a.txt", "*.txt", True),
        ("sub/a.txt", "*.txt", False),
        ("sub/a.txt", "**/*.txt", True),
        ("a.txt", "**/*.txt", True),
        (".git/config", ".git", True),
        (".git/config", ".git/", True),
        (".gitignore", ".git", False),
        ("sub/deep/a.py", "sub/*/a.py", True),
        ("sub/deep/er/a.py", "sub/*/a.py", False),
        ("operator/x.py", ONLY_OPERATOR, False),
        ("operator/__pycache__/x.pyc", ONLY_OPERATOR, True),
        ("tests/x.py", ONLY_OPERATOR, True),
        ("README.md", ONLY_OPERATOR, False),
        ("file1", "file?", True),
    ],
)
def test_a_path_is_left_out_by_the_last_line_that_names_it(path, text, left_out):
    assert ignored(path, rules(text)) is left_out


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    for name in (
        "Dockerfile",
        "README.md",
        "operator/a.py",
        "operator/__pycache__/a.pyc",
        ".venv/lib/b.py",
        "wheels/old.whl",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".dockerignore").write_text(ONLY_OPERATOR)
    return folder


def test_the_dockerfile_belongs_to_the_context_whatever_is_ignored(context):
    assert list(selected(context, also=["Dockerfile"])) == ["Dockerfile", "README.md", "operator/a.py"]


def test_wheels_from_elsewhere_take_the_place_of_those_in_the_folder(context, tmp_path):
    (context / ".dockerignore").unlink()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "new.whl").write_text("new")
    stage(context, tmp_path / "staged", {"wheels": wheels})
    assert [file.name for file in (tmp_path / "staged" / "wheels").iterdir()] == ["new.whl"]


def test_the_digest_sees_contents_names_and_modes_of_chosen_files_only(context):
    before = digest(context, {})
    (context / ".venv/lib/b.py").write_text("changed")
    assert digest(context, {}) == before
    (context / "operator/a.py").chmod(0o755)
    executable = digest(context, {})
    (context / "operator/a.py").write_text("changed")
    assert len({before, executable, digest(context, {})}) == 3
