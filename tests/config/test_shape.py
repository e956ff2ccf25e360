"""The type of the ``config`` tree, which clients are generated from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from collector.config.deployment import WITHOUT_OPTION, deployment_config
from collector.config.loading import load
from collector.config.options import OPTIONS
from collector.config.shape import config_type
from tests.config.samples import sample


def paths(kind: Any, above: str = "") -> Iterator[str]:
    """The paths of the leaves: what is an object of the tree itself has no description."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from paths(field.type, f"{above}{field.name}.")
        else:
            yield above + field.name


def test_it_has_every_path() -> None:
    """Each path of the catalogue once, that which has no option, and no other."""
    expected = {option.path for option in OPTIONS if option.path} | set(WITHOUT_OPTION)

    assert sorted(paths(config_type())) == sorted(expected)


SET = {option.env: sample(option)[0] for option in OPTIONS if option.path and option.env and not option.use_instead} | {
    "CODER_PG_AUTH": "password",  # of its choices the one that this service has
    "COLLECTOR_CSP_HOURS_RETENTION": "9000h",
}


@pytest.mark.parametrize("env", [{}, SET], ids=["nothing set", "all set"])
def test_every_value_has_its_type(env: dict[str, str]) -> None:
    """Whatever is set, what is answered is what the type says, and all of it."""
    answered = msgspec.json.encode(deployment_config(load({}, env)).config)

    read = msgspec.json.decode(answered, type=config_type())
    assert json.loads(msgspec.json.encode(read)) == json.loads(answered)
