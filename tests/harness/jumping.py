"""An operator whose wall clock is off by as many seconds as a file says, now. Run as a module in place of the operator.

Only what people call the time jumps, as when an administrator or NTP sets it; monotonic time goes on.
"""

import os
import sys
import time
from pathlib import Path

from modelrollout.operator import main
from modelrollout.runtime.clock import SystemClock

FILE_VARIABLE = "TEST_CLOCK_OFFSET"


def _now(_: SystemClock) -> float:
    return time.time() + float(Path(os.environ[FILE_VARIABLE]).read_text() or 0)


if __name__ == "__main__":
    SystemClock.now = _now  # type: ignore[method-assign] # this is the fault
    main(sys.argv[1:])
