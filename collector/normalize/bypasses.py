"""Hosts that let others' code through when a policy lists them for scripts. Data only, from what is publicly known.

A host here is no bad host: it serves more than its customers' own scripts. Add one and nothing else changes.
"""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """Why a kind of host is a way round a policy, and the hosts: each with its subdomains."""

    why: str
    hosts: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN: tuple[Known, ...] = (
    Known(
        "serves every published package, old ones with known ways to run text as code among them",
        _words(
            "cdnjs.cloudflare.com cdn.jsdelivr.net unpkg.com esm.sh cdn.skypack.dev ga.jspm.io ajax.googleapis.com "
            "ajax.aspnetcdn.com code.angularjs.org yastatic.net "
            "cdn.rawgit.com rawgit.com raw.githack.com rawcdn.githack.com cdn.statically.io"
        ),
    ),
    Known(
        "answers with a call of whatever function the address names (JSONP)",
        _words(
            "www.google.com accounts.google.com maps.googleapis.com translate.googleapis.com suggestqueries.google.com "
            "www.youtube.com api.twitter.com graph.facebook.com api.flickr.com api.vk.com mc.yandex.ru api.github.com "
            "www.google-analytics.com googleads.g.doubleclick.net"
        ),
    ),
    Known(
        "serves what anybody puts there",
        _words(
            "s3.amazonaws.com amazonaws.com cloudfront.net storage.googleapis.com appspot.com firebaseapp.com web.app run.app "
            "blob.core.windows.net azureedge.net azurewebsites.net herokuapp.com netlify.app vercel.app pages.dev "
            "workers.dev r2.dev github.io gitlab.io githubusercontent.com fly.dev onrender.com digitaloceanspaces.com "
            "akamaihd.net fastly.net b-cdn.net glitch.me surge.sh"
        ),
    ),
    Known(
        "runs the scripts that whoever has an account there writes into a container",
        _words("www.googletagmanager.com googletagmanager.com tags.tiqcdn.com assets.adobedtm.com cdn.segment.com"),
    ),
    Known(
        "was taken over in 2024 and has served malicious scripts",
        _words("polyfill.io polyfill.com bootcss.com bootcdn.net staticfile.org staticfile.net"),
    ),
)


def known_bypass(host: str) -> tuple[str, str] | None:
    """The entry that fits ``host``, which may begin with ``*.``, and why; None for a host that is not known."""
    labels = host.removeprefix("*.").rstrip(".").split(".")
    for start in range(len(labels)):
        name = ".".join(labels[start:])
        for why, hosts in KNOWN:
            if name in hosts:
                return name, why
    return None
