"""The file of noise rules is read as strictly as the options are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config.noise_rules import LARGEST_FILE, noise_rules
from collector.normalize.noise import RULES
from collector.wire.errors import InvalidOption
from tests.examples import examples

RULE = """
# What our own monitoring loads.
disable: [translator-host]
rules:
  - name: our-probe
    class: security-software
    hosts: [probe.example]
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    """Rules are added in front, and shipped ones turned off; no file is the shipped table."""
    (tmp_path / "rules.yaml").write_text(RULE)
    rules = noise_rules(str(tmp_path / "rules.yaml"))

    assert rules[0].name == "our-probe"
    assert [rule.name for rule in rules if not rule.enabled] == ["translator-host", "localhost"]
    assert noise_rules("") == RULES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "line 1: expected the node content"),
        ("disable: []\ndisable: [localhost]", "line 2: the key 'disable' stands there twice"),
        ("rules:\n  - name: a\n    name: b", "line 3: the key 'name' stands there twice"),
        ("1: 2", "line 1: 1 is no key"),
        ("rules: &a []\ndisable: *a", "not YAML"),
        ("!!python/object:os.system {}", "line 1: could not determine a constructor"),
        ("[" * 5000, "not YAML"),
        ("\xff", "not YAML"),
        ("a: \0", "not YAML"),
        ("rules:\n  - name: a\n    class: oops", "rule 'a': class: Invalid enum value 'oops'"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, said: str) -> None:
    """A fault of the file is one line with its place."""
    path = tmp_path / "rules.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidOption) as caught:
        noise_rules(str(path))
    assert caught.value.message.startswith(f"Noise rules {str(path)!r}: {said}")


PIECES = [*":-[]{},&*!?#|>'\"% \n\t", "rules", "name", "a", "- ", ": ", "\xff", "\0", "1"]


@settings(max_examples=examples(300), derandomize=True, deadline=None)
@given(text=st.lists(st.sampled_from(PIECES), max_size=40))
def test_whatever_a_file_holds(tmp_path_factory: pytest.TempPathFactory, text: list[str]) -> None:
    """It is a table of rules or one refusal in words; never anything else."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text("".join(text), encoding="latin-1")
    try:
        assert len(noise_rules(str(path))) >= len(RULES)
    except InvalidOption as refused:
        assert refused.message.isprintable()  # noqa: PT017 (either way is right)


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    """A missing file, a directory and a huge file are refused before anything is parsed."""
    (tmp_path / "huge").write_bytes(b"#" * (LARGEST_FILE + 1))
    for name, said in (("none", "No such file"), (".", "Is a directory"), ("huge", "larger than"), ("a\0b", "no such file")):
        with pytest.raises(InvalidOption, match=said):
            noise_rules(str(tmp_path / name))
