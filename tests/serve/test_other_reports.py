"""What is not about CSP is read by owners and auditors, masked and bounded."""

from __future__ import annotations

import json

from tests.inside import Inside
from tests.normalize.test_csp import payload

SHA = "sha256-X+zrZv/IbzjZUnhsbWlsecLbwjndTpG0ZynXOif7V+k="


async def test_counts_and_samples_by_type(inside: Inside) -> None:
    """Each type has its count and its samples, whose bodies are JSON under the names of their specifications."""
    for _ in range(2):
        assert await inside.post(inside.csp_path, payload("chromium-reporting-crash-and-isolation")) == (200, "ok")

    page = await inside.get("/api/v2/csp/other-reports")
    by_type = {each["type"]: each for each in page["results"]}
    assert page["count"] == len(by_type) == 8
    assert {each["count"] for each in by_type.values()} == {2}
    (sample,) = by_type["coop"]["samples"]
    assert sample["document_uri"] == "https://shop.example/checkout"
    assert sample["user_agent"] == "Chrome 156"
    assert sample["body"]["previousResponseURL"] == "https://shop.example/reset/{uuid}"
    text = json.dumps(page)
    assert not [secret for secret in ("ada@", "order=", "token=", "0123456789abcdef", "6f9619ff") if secret in text]

    only = await inside.get("/api/v2/csp/other-reports?type=coop&project=default")
    assert [each["type"] for each in only["results"]] == ["coop"]
    assert (await inside.get("/api/v2/csp/other-reports?project=nobody%27s"))["count"] == 0


async def test_the_script_inventory(inside: Inside) -> None:
    """A csp-hash is a script with its page's origin; it is read in pages."""
    assert await inside.post(inside.csp_path, payload("chromium-reporting-csp-hash")) == (200, "ok")

    page = await inside.get("/api/v2/csp/scripts")
    (script,) = page["results"]
    assert {key: script[key] for key in ("project", "document_origin", "url", "hash", "type", "destination", "count")} == {
        "project": "default",
        "document_origin": "https://shop.example",
        "url": "https://cdn.vendor.example/lib.js",
        "hash": SHA,
        "type": "subresource",
        "destination": "script",
        "count": 1,
    }
    assert (page["count"], page["next"]) == (1, None)


async def test_parameters_that_cannot_be_used(standing: Inside) -> None:
    """A number out of range or a NUL is 400 and named."""
    for path, name in (
        ("scripts?limit=0", "limit"),
        ("scripts?limit=1001", "limit"),
        ("scripts?after=x", "after"),
        ("scripts?project=a%00b", "project"),
        ("other-reports?type=%00", "type"),
    ):
        async with standing.client.get(f"/api/v2/csp/{path}", headers=standing.owner) as response:
            assert response.status == 400, path
            assert [each["field"] for each in (await response.json())["validations"]] == [name]
