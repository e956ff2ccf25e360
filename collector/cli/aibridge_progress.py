"""How far the sending of a log has come: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

LINES = 10  # printed where there is no terminal and the size is known
EVERY_BYTES = 64 * 1024 * 1024  # and a line each where it is not
MB = 10**6

Show = Callable[[int, int], None]  # bytes and lines sent so far


@contextmanager
def progress(stream: TextIO, size: int | None) -> Iterator[Show]:
    """Give a ``show`` for a log of ``size`` bytes."""
    if not stream.isatty():
        yield _plain(stream, size)
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn(), TextColumn("{task.fields[lines]}"))
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("log", total=size, lines="")
        yield lambda sent, lines: bar.update(task, completed=sent, lines=f"{lines:,} lines")


def _plain(stream: TextIO, size: int | None) -> Show:
    step = max(1, size // LINES) if size else EVERY_BYTES
    due = step

    def show(sent: int, lines: int) -> None:
        nonlocal due
        if sent < due:
            return
        due = sent - sent % step + step
        of_all = f" of {size / MB:.1f}" if size else ""
        stream.write(f"{sent / MB:.1f}{of_all} MB, {lines:,} lines sent\n")
        stream.flush()

    return show
