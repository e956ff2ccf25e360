"""Since when the store fails, and in what words: for readiness, and for two lines in the log instead of one an attempt."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from prometheus_client import Counter

from collector.persist.isolation import words

FAILED_COMMITS = Counter("collector_failed_commits", "Transactions that the store refused and that were tried again.")

# What SQLite says, and what of it anybody may know: neither paths nor statements.
KNOWN = {
    "disk is full": "The disk is full.",
    "readonly": "The database is read-only.",
    "disk I/O error": "The disk fails.",
    "malformed": "The database is damaged.",
    "locked": "The database is locked.",
}

log = structlog.get_logger(__name__)


class Failure:
    """The state of a store, as the transactions tell that were tried on it.

    Args:
        clock: monotonic seconds.
        of: what to call it.
        attempts: counts those that failed.
    """

    def __init__(self, clock: Callable[[], float], of: str = "database", attempts: Counter = FAILED_COMMITS) -> None:
        self._clock = clock
        self._of, self._attempts = of, attempts
        self.since: float | None = None  # by the clock; None while the store works
        self.words = ""  # of the last error, not for the public

    @property
    def said(self) -> str:
        """What the public is told of the last error; empty when it is none that we know."""
        return next((public for words, public in KNOWN.items() if words in self.words), "")

    def note(self, error: Exception) -> None:
        """A transaction failed, and not by the fault of what was to be stored."""
        self._attempts.inc()
        self.words = words(error)
        if self.since is None:
            self.since = self._clock()
            log.error("the store fails; what is acknowledged is safe, the rest waits", store=self._of, error=self.words)

    def end(self) -> None:
        """A transaction was committed."""
        if self.since is not None:
            log.info("the store works again", store=self._of, after_seconds=round(self._clock() - self.since, 3))
            self.since, self.words = None, ""
