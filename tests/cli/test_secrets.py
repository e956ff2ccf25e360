"""Where the first start's secrets go when there is no terminal."""

from __future__ import annotations

from pathlib import Path

from tests.service import SECRETS, run_service


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever laid a link in the secrets' place does not get them: the link goes, its target stays, nothing is lost."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("before")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SECRETS).symlink_to(elsewhere)

    with run_service(tmp_path) as service:
        assert not (service.data / SECRETS).is_symlink()
        assert service.get("/api/v2/csp/violations")["count"] == 0
    assert elsewhere.read_text() == "before"
