"""What follows the reports at a distance is written when the service stops."""

from __future__ import annotations

import json
from pathlib import Path

from collector.persist.engine import open_store
from collector.rollup.evidence import evidence
from tests.inside import running

REPORTS = 5
REPORT = {"document-uri": "https://shop.example/cart", "effective-directive": "img-src", "blocked-uri": "https://cdn.example/"}


async def test_a_stop_leaves_nothing_behind(migrated_url: str, tmp_path: Path) -> None:
    """Right after a stop the documents of a violation add up to its reports, though no flush was due between them."""
    async with running(migrated_url, tmp_path) as inside:
        for _ in range(REPORTS):
            assert (await inside.post(inside.csp_path, json.dumps({"csp-report": REPORT})))[0] == 200
    store = open_store(migrated_url)
    try:
        (found,) = await store.read(lambda connection: evidence(connection, "default"))
    finally:
        await store.close()

    assert found.count == REPORTS
    assert [(document.value, document.count) for document in found.documents] == [("https://shop.example/cart", REPORTS)]
