"""The interpreter, set so that nothing it does of its own accord holds up the event loop for long."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# How long a thread may keep the interpreter while another waits for it. The loop waits anew after every system call, and
# with Python's own 5 ms a scrape that meets a rollup took four times as long as one that did not.
SWITCH_S = 0.0005
ALL_GENERATIONS = 2
# How many more objects than before there must be for the young ones to be looked at. Some hundred requests that wait for one
# commit hold more than Python's own 700, and are looked at several times before they are answered, and nothing is ever found.
YOUNG, THEN, LAST = 10_000, 5, 10
THAW_S = 24 * 60 * 60


@contextmanager
def short_pauses() -> Iterator[None]:
    """Meanwhile what has survived a full collection of garbage is left out of the next ones, but for one a day.

    What was imported and built stays for good, and so do statements that were compiled and caches that were filled: to look
    at all of it again and again takes 20 to 60 ms. Once a day it is looked at after all, for the few cycles among it that died.
    """
    before, thresholds, thawed = sys.getswitchinterval(), gc.get_threshold(), time.monotonic()

    def collecting(phase: str, facts: dict[str, int]) -> None:
        nonlocal thawed
        if facts["generation"] != ALL_GENERATIONS:
            return
        if phase == "stop":
            gc.freeze()
        elif time.monotonic() - thawed > THAW_S:
            thawed = time.monotonic()
            gc.unfreeze()

    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(YOUNG, THEN, LAST)
    gc.callbacks.append(collecting)
    gc.collect()
    try:
        yield
    finally:
        gc.callbacks.remove(collecting)
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(before)
