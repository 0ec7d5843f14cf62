import pytest

from modelrollout.cli.draw import draw
from modelrollout.cli.out import show
from tests.unit.cli import samples
from tests.unit.cli.pictures import GOLDEN, WIDTHS, picture, view


@pytest.mark.parametrize("width", WIDTHS)
def test_each_state_is_drawn_as_in_the_golden_pictures(width):
    assert picture(width) == (GOLDEN / f"status-{width}.txt").read_text()


@pytest.mark.parametrize("state", samples.STATES)
def test_no_line_is_wider_than_the_terminal_but_for_a_command_to_copy(state):
    for width in range(40, 161):
        seen = view(state)
        wide = [line.plain for line in draw(seen, width) if line.cell_len > width]
        assert [line.strip() for line in wide] in ([], [seen.advice]), f"at {width}"


@pytest.mark.parametrize("state", samples.STATES)
def test_no_line_ends_in_blanks(state):
    for width in (60, 80, 120):
        assert [line.plain for line in draw(view(state), width) if line.plain != line.plain.rstrip()] == []


def test_a_number_is_never_parted_from_its_percent_sign():
    for state in samples.STATES:
        for width in range(40, 121):
            assert not any(line.plain.lstrip().startswith("%") for line in draw(view(state), width)), (state, width)


def test_colours_are_for_terminals_only(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show(draw(view("rolled-back"), 100))
    assert "\x1b[" not in capsys.readouterr().out

    monkeypatch.setenv("FORCE_COLOR", "1")
    show(draw(view("rolled-back"), 100))
    assert "\x1b[" in capsys.readouterr().out


def test_a_share_that_is_not_zero_shows_at_least_one_block():
    candidate = next(line.plain for line in draw(view("no-metrics"), 120) if "candidate" in line.plain)
    assert candidate.count("█") == 1


def test_names_too_long_for_the_line_are_cut_with_an_ellipsis():
    lines = [line.plain for line in draw(view("long-names"), 44)]
    assert any("…" in line for line in lines)
