"""What a releases feed says, and which of two versions is older."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.normalize.updatecheck import is_current, release
from collector.wire.errors import InvalidReport


@pytest.mark.parametrize(
    ("own", "released", "current"),
    [
        ("v1.4.0", "v1.4.0", True),
        ("v1.4.0", "v1.4.1", False),
        ("v1.10.0", "v1.9.0", True),
        ("v1.4.0", "1.5.0", False),
        ("v1.4.0+7d5cd06", "v1.4.0", True),
        ("v1.5.0-rc.1", "v1.5.0", True),
        ("v1.4.0", "v1.5.0-rc.1", False),
        ("v1.4.0", "newest", True),
        ("unknown", "v1.5.0", False),
        ("unknown", "newest", True),
    ],
)
def test_current_means_not_older(own: str, released: str, current: bool) -> None:
    """By semantic version; a build before a release counts as it, and what is no version is older than all."""
    assert is_current(own, released) == current


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["tag_name", "html_url"]) | st.text(), inner),
)


@given(st.binary() | json_values.map(msgspec.json.encode))
def test_any_answer_is_a_release_or_refused(body: bytes) -> None:
    """Whatever the feed says, a release is short and printable and leads to a web page."""
    try:
        named = release(body, checked_at=0)
    except InvalidReport:
        return
    assert 0 < len(named.version) <= 100
    assert named.version.isprintable()
    assert named.url.startswith(("http://", "https://"))


@given(st.text(), st.text())
def test_any_two_texts_can_be_compared(own: str, released: str) -> None:
    """Whether or not they are versions."""
    assert is_current(own, released) in (True, False)
