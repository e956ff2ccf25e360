"""A fingerprint is the same for ever and for nothing else."""

from __future__ import annotations

from collector.normalize.fingerprint import Group, fingerprint
from collector.wire.records import NoiseClass

GROUP: Group = ("script-src-elem", "https://cdn.vendor.example", None, "")


def test_it_never_changes() -> None:
    """Stored violations are found again by every later version."""
    assert fingerprint("default", GROUP) == "ed3e5f017f1f99625c0d9a977b2c3c44"


def test_every_part_counts() -> None:
    """Project, directive, what is blocked, noise class and place each make another violation."""
    groups: list[tuple[str, Group]] = [
        ("default", GROUP),
        ("other", GROUP),
        ("default", ("img-src", *GROUP[1:])),
        ("default", (None, *GROUP[1:])),
        ("default", (GROUP[0], "inline", None, "")),
        ("default", (*GROUP[:2], NoiseClass.TRANSLATOR, "")),
        ("default", (*GROUP[:3], "https://shop.example/:1")),
    ]
    assert len({fingerprint(project, group) for project, group in groups}) == len(groups)


def test_parts_do_not_run_into_each_other() -> None:
    """No choice of separators in the parts makes two groups look the same; nothing is not the empty text."""
    assert fingerprint("a", ("b", "c", None, "")) != fingerprint("a", ("bc", "", None, ""))
    assert fingerprint("a", ("1:b", "c", None, "")) != fingerprint("a", ("1", ":bc", None, ""))
    assert fingerprint("a", (None, "c", None, "")) != fingerprint("a", ("", "c", None, ""))
