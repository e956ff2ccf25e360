"""A releases feed's answer -> the newest release, and whether a build is as new. Pure."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from semver import Version

from collector.wire.errors import InvalidReport
from collector.wire.general import Release

_URL = re.compile(r"https?://[!-~]+")  # visible ASCII alone


class _Named(msgspec.Struct):
    """What is read of a release; feeds say much more."""

    tag_name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    html_url: Annotated[str, msgspec.Meta(max_length=2_000)]


_RELEASE = msgspec.json.Decoder(_Named)


def release(body: bytes, *, checked_at: int) -> Release:
    """The release that the feed's ``body`` names.

    Raises:
        InvalidReport: it names none, or one that no client should be shown.
    """
    try:
        named = _RELEASE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidReport("The answer of the feed names no release.") from error
    if not named.tag_name.isascii() or not named.tag_name.isprintable() or not _URL.fullmatch(named.html_url):
        raise InvalidReport("The answer of the feed names no release.")
    return Release(named.tag_name, named.html_url, checked_at)


def is_current(own: str, released: str) -> bool:
    """Whether ``own`` is not older than ``released``; what is no semantic version counts as older than all that are.

    A build before a release counts as that release: it is not told to update to what it becomes.
    """
    theirs, ours = _version(released), _version(own.partition("-")[0])
    if theirs is None:
        return True
    return ours is not None and ours >= theirs


def _version(text: str) -> Version | None:
    try:
        return Version.parse(text.removeprefix("v"))
    except ValueError:
        return None
