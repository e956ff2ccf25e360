"""A policy that sources are added to. Only whole source expressions go in, so no addition can start another directive."""

from __future__ import annotations

import re

from collector.normalize.sources import FALLBACKS, Policy, governing, source

# Printable ASCII without what ends a source, a directive or a policy: white space, semicolon, comma.
SOURCE = re.compile(r"[!-+\--:<-~]+")

# Directives for one kind of element, which a suggestion says for all kinds.
ROLLED = {
    "script-src-elem": "script-src",
    "script-src-attr": "script-src",
    "style-src-elem": "style-src",
    "style-src-attr": "style-src",
}
_KEYWORDS_COUNT = frozenset({"script-src", "style-src", "default-src"})  # elsewhere only 'self' has a meaning


class Draft:
    """One policy under change."""

    def __init__(self, policy: Policy) -> None:
        self._directives = {
            name: [each.text for each in sources if SOURCE.fullmatch(each.text)]
            for name, sources in policy.items()
            if SOURCE.fullmatch(name)
        }
        self._given = {name: tuple(texts) for name, texts in self._directives.items()}

    @property
    def policy(self) -> Policy:
        """The policy as it now is."""
        return {name: tuple(map(source, texts)) for name, texts in self._directives.items()}

    @property
    def text(self) -> str:
        """The policy as a header says it."""
        return "; ".join(" ".join((name, *texts)) for name, texts in self._directives.items())

    def add(self, directive: str, text: str, blocked_kind: str = "") -> str | None:
        """List ``text`` for ``directive`` and return the directive it stands in; None when nothing blocks it here.

        Where a fallback decides, the directive gets a list of its own that begins as the fallback was given: the fallback is
        not widened for all others, and what it got itself meanwhile was asked for by others.
        """
        decides = governing(self.policy, directive, blocked_kind)
        if decides is None or directive not in FALLBACKS or not SOURCE.fullmatch(text):
            return None
        wanted = "script-src" if blocked_kind in ("eval", "wasm-eval") else ROLLED.get(directive, directive)
        target = decides if decides in (wanted, directive) else wanted
        if target not in self._directives:
            self._directives[target] = self._inherited(decides, target)
        texts = self._directives[target]
        if text not in texts:
            texts[:] = [kept for kept in texts if kept.lower() != "'none'"] + [text]
        return target

    def _inherited(self, decides: str, target: str) -> list[str]:
        """What ``target`` takes along from the list that decided until now."""
        texts = self._given.get(decides, self._directives[decides])
        if target in _KEYWORDS_COUNT:
            return list(texts)
        return [text for text in texts if source(text).kind in ("any", "scheme", "host") or text.lower() == "'self'"]
