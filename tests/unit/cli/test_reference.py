from pathlib import Path

from modelrollout.cli.reference import page

ROOT = Path(__file__).parents[3]


def test_the_reference_page_is_what_the_commands_say():
    assert (ROOT / "docs" / "cli.md").read_text() == page(), "run: python -m modelrollout.cli.reference > docs/cli.md"


def test_the_page_for_the_day_names_only_commands_that_exist():
    commands = {line.removeprefix("## ").strip() for line in page().splitlines() if line.startswith("## ")}
    text = (ROOT / "docs" / "operate.md").read_text()
    used = {words.split()[0] for words in text.split("kubectl modelrollout ")[1:] if words[0].islower()}
    assert used, "the page shows the plugin at work"
    assert used <= commands
