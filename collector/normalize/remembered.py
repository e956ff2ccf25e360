"""Reports that were read before, found again by their bytes: in a flood nearly all are the same few.

A page with a fault makes all its visitors post the same. Legacy bodies are then equal as a whole; in arrays each report says
when it happened, so there they are equal but for their age, which browsers write first. What is known of a report never hangs
on its age, so it is looked up by the rest (``docs/decisions/0027``).

Bounded by the bytes that it holds, and by time: bodies hold what is never stored, as the queries of URLs. When full or old it
starts anew, which costs one normalization a report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from collector.normalize.csp import MAX_AGE_MS, MAX_ENTRIES, Arrived, judged, lone_violation
from collector.normalize.filters import SHIPPED, NoiseFilter
from collector.normalize.fingerprint import fingerprint
from collector.normalize.useragent import browser
from collector.wire.records import CspReport

Whose = tuple[str, str | None]  # a project, and the family of the browser that delivers
Member = tuple[CspReport, str]  # with its fingerprint

# Searched for by its first byte, which is rare: with the comma before it, it takes half as long again.
_AGE = re.compile(rb'\{"age":(0|[1-9][0-9]{0,14}),')
_MINUTE_MS = 60_000


class Remembered:
    """What bodies bring, by one table of noise rules."""

    LONGEST = 4096  # bytes of an object that is remembered
    BYTES = 8 * 1024 * 1024
    OVERHEAD = 1024  # bytes of a record beside its strings, which are at most as long as the object
    KEPT_MS = 10 * _MINUTE_MS

    def __init__(self, noise: NoiseFilter = SHIPPED) -> None:
        self._noise = noise
        self._bodies: dict[tuple[bytes, Whose], Arrived] = {}
        self._members: dict[Whose, dict[bytes, Member]] = {}  # by what follows their age, and a comma
        self._bytes = 0
        self._began = 0

    def arrived(self, body: bytes, *, user_agent: str | None, project: str, now: int) -> Arrived:
        """As :func:`~collector.normalize.csp.arrived`; ``now`` is in milliseconds.

        Raises:
            InvalidReport: as there.
        """
        if now - self._began >= self.KEPT_MS or now < self._began:
            self._start_anew(now)
        whose = project, browser(user_agent)
        if body.startswith(b'[{"age":'):
            found = self._array(body, whose)
            if found is not None:
                return found
        if len(body) > self.LONGEST or not body.startswith(b"{"):
            return judged(body, whose[1], project, self._noise)
        known = self._bodies.get((body, whose))
        if known is None:
            known = judged(body, whose[1], project, self._noise)
            self._make_room(len(body))
            self._bodies[body, whose] = known
        return known

    def _array(self, body: bytes, whose: Whose) -> Arrived | None:
        """What an array brings whose members all are violations and begin with their age; None when it is another one.

        Where each piece between two ages is known to end one object, the array can only be read as these objects.
        """
        if not body.endswith(b"}]"):
            return None
        before, *pieces = _AGE.split(body, MAX_ENTRIES)  # of more members the last piece is no object
        if before != b"[":
            return None
        texts = pieces[1::2]
        texts[-1] = texts[-1][:-1] + b","
        try:
            known = list(map(self._members.get(whose, {}).__getitem__, texts))
        except KeyError:
            read = self._read(texts, whose)
            if read is None:
                return None
            known = read
        ages = tuple(map(int, pieces[::2]))
        if max(ages) > MAX_AGE_MS:
            ages = tuple([min(age, MAX_AGE_MS) for age in ages])
        reports, fingerprints = zip(*known, strict=True)
        return Arrived(reports, reports, fingerprints, ages if any(ages) else ())

    def _read(self, texts: Sequence[bytes], whose: Whose) -> list[Member] | None:
        """The members with these texts, those that are not known being read; None when one of them is no violation."""
        found: list[Member] = []
        for text in texts:
            member = self._members.get(whose, {}).get(text) or self._member(text, whose)
            if member is None:
                return None
            found.append(member)
        return found

    def _member(self, text: bytes, whose: Whose) -> Member | None:
        project, family = whose
        # It may name no other age, also by a key with an escaped letter: of equal keys the last one counts.
        if len(text) > self.LONGEST or b'"age"' in text or b"\\u006" in text:
            return None
        if not text.endswith(b"},"):
            return None
        report = lone_violation(b'[{"age":0,%b]' % text[:-1], family, self._noise)
        if report is None:
            return None
        self._make_room(len(text))
        member = report, fingerprint(project, report.group)
        self._members.setdefault(whose, {})[text] = member
        return member

    def _make_room(self, length: int) -> None:
        size = 2 * length + self.OVERHEAD
        if self._bytes + size > self.BYTES:
            self._start_anew(self._began)
        self._bytes += size

    def _start_anew(self, now: int) -> None:
        self._bodies.clear()
        self._members.clear()
        self._bytes = 0
        self._began = now
