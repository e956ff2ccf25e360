"""Write every board to ``dashboards/grafana/``, for Grafana to load."""

from __future__ import annotations

from pathlib import Path

from dashboards import csp
from dashboards.grafana import Board, text

BOARDS: tuple[Board, ...] = (csp.BOARD,)
DIRECTORY = Path(__file__).parent / "grafana"


def main() -> None:
    """Write them all."""
    DIRECTORY.mkdir(exist_ok=True)
    for board in BOARDS:
        (DIRECTORY / f"{board.uid}.json").write_text(text(board), encoding="utf-8")


if __name__ == "__main__":
    main()
