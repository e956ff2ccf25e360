"""What stands at the foot of the page by the options."""

from __future__ import annotations

import json
from pathlib import Path

from tests.inside import running


async def test_documentation_and_support_are_linked(tmp_path: Path) -> None:
    """Each link of the options has its name as text; what a browser would run instead of visiting is left out."""
    links = [
        {"name": "Ask <us>", "target": "https://help.example/?a=1&b=2"},
        {"name": "", "target": "mailto:help@example.com"},
        {"name": "Bad", "target": "javascript:alert(1)"},
    ]
    options = {"CODER_DOCS_URL": "https://docs.example/collector", "CODER_SUPPORT_LINKS": json.dumps(links)}
    async with running("sqlite", tmp_path, **options) as inside, inside.client.get("/") as response:
        page = await response.text()
    assert '<a href="https://docs.example/collector" rel="noreferrer">Documentation</a>' in page
    assert '<a href="https://help.example/?a=1&amp;b=2" rel="noreferrer">Ask &lt;us&gt;</a>' in page
    assert '<a href="mailto:help@example.com" rel="noreferrer">mailto:help@example.com</a>' in page
    assert "javascript" not in page


async def test_without_documentation_none_is_linked(tmp_path: Path) -> None:
    """The default of the option is about another service."""
    async with running("sqlite", tmp_path) as inside, inside.client.get("/") as response:
        page = await response.text()
    assert "Documentation" not in page
