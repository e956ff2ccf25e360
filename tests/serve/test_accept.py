"""What a client says that it would rather have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.serve.accept import offers, quality

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (PROMETHEUS, 1.0),
        ("application/openmetrics-text", 1.0),
        ("text/plain, Application/OpenMetrics-Text; Version=1.0.0; Q=0.4", 0.4),
        ("application/openmetrics-text;version=0.0.1", 0.0),
        ("application/openmetrics-text;q=0", 0.0),
        ("application/openmetrics-text;q=yes", 0.0),
        ("text/plain", 0.0),
        ("", 0.0),
    ],
)
def test_a_type_is_as_welcome_as_it_says(header: str, expected: float) -> None:
    """By its weight, in the version that is asked for, in any case of letters."""
    assert quality(header, "application/openmetrics-text", version="1.0.0") == expected


@given(st.text() | st.text(alphabet='ab/;,="q.01 \t', max_size=60))
def test_every_header_can_be_read(header: str) -> None:
    """No header is an error, and no offer is more than welcome."""
    assert all(offer.name and 0 <= offer.quality <= 1 for offer in offers(header))
