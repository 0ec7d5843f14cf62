import subprocess
import sys

import pytest

HEAVY = ("kubernetes", "aiohttp", "modelrollout.api", "rich", "yaml", "requests")


@pytest.mark.parametrize("words", ["['--help']", "['approve', '--help']", "['nonsense']"])
def test_help_loads_nothing_that_takes_time(words):
    script = f"""
import sys
from modelrollout.cli.app import run
try:
    run({words})
except SystemExit:
    pass
print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": "operator"}
    )
    assert done.stderr.splitlines()[-1] == "[]"
