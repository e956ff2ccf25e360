"""How the interpreter is set while the service serves."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from collector.cli.pauses import SWITCH_S, YOUNG, short_pauses


@pytest.fixture(autouse=True)
def set_aside_again() -> Iterator[None]:
    """What the tests' start set aside is thawed by what is tested here."""
    yield
    gc.freeze()


def test_what_outlives_a_full_collection_is_left_out_of_the_next() -> None:
    """It is set aside meanwhile, and looked at again when the service has ended; so is the interpreter's patience."""
    usual = sys.getswitchinterval(), gc.get_threshold()
    with short_pauses():
        later = [[number] for number in range(1000)]
        gc.collect()
        assert (sys.getswitchinterval(), gc.get_threshold()[0]) == (SWITCH_S, YOUNG)
        assert not any(each is later for each in gc.get_objects())
    assert any(each is later for each in gc.get_objects())
    assert (sys.getswitchinterval(), gc.get_threshold()) == usual
