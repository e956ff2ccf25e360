"""What is measured by: the processor time and memory of a process, and rounds that alternate."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog

T = TypeVar("T")

PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>: the processor time of all threads, in ns


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, user and system."""
    return time.clock_gettime(~pid << 3 | PROCESS_CLOCK)


def resident_mb(pid: int, what: str = "VmRSS") -> float:
    """The memory of a process in MB; ``VmHWM`` is the most that it has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{what}:"))


def processor_time(work: Callable[[], object]) -> float:
    """The seconds of a core that this process took for ``work``."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def alternated(works: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each of ``works`` gave in each round. The order turns, so that none is always the one that finds all warm."""
    found: dict[str, list[T]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works)[:: 1 if number % 2 else -1]:
            found[name].append(works[name]())
    return found


def quiet() -> None:
    """Of a collector in this process errors alone are told."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def first_core() -> None:
    """Stay on the first core that we may use: whoever asks or loads has the last."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
