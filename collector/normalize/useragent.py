"""Browser family and major version: all that is kept of a User-Agent."""

from __future__ import annotations

import functools
import re

_READ = 512

# The first that is found: every browser also calls itself by the names of those it wants to be served like.
_FAMILIES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (family, re.compile(pattern, re.ASCII))
    for family, pattern in (
        ("Edge", r"\bEdg(?:e|A|iOS)?/(\d{1,4})"),
        ("Opera", r"\b(?:OPR|OPT|OPX|OPiOS)/(\d{1,4})"),
        ("Opera", r"\bOpera(?: Mini|)[/ ].*?\bVersion/(\d{1,4})"),
        ("Opera", r"\bOpera(?: Mini|)[/ ](\d{1,4})"),
        ("Samsung Internet", r"\bSamsungBrowser/(\d{1,4})"),
        ("Firefox", r"\b(?:Firefox|FxiOS)/(\d{1,4})"),
        ("Chrome", r"\b(?:CriOS|(?:Headless)?Chrome|Chromium)/(\d{1,4})"),
        ("Safari", r"\bVersion/(\d{1,4})\S* (?:\S+ )?Safari/"),
        ("Internet Explorer", r"\bMSIE (\d{1,4})"),
        ("Internet Explorer", r"\bTrident/.*\brv:(\d{1,4})"),
    )
)


def browser(user_agent: str | None) -> str | None:
    """``Chrome 125``, ``Firefox 153``, …; ``other`` for what is none of the known; None when there is none."""
    if not user_agent:
        return None
    return _browser(user_agent[:_READ])


@functools.lru_cache(1024)
def _browser(user_agent: str) -> str:
    for family, pattern in _FAMILIES:
        if found := pattern.search(user_agent):
            return f"{family} {found[1]}"
    return "other"
