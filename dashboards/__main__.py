"""Write every board to ``dashboards/grafana/``, for Grafana to load."""

from __future__ import annotations

from pathlib import Path

from dashboards import aibridge, csp, deployment, service
from dashboards.board import Board
from dashboards.grafana import text

BOARDS: tuple[Board, ...] = (deployment.BOARD, csp.BOARD, aibridge.BOARD, service.BOARD)
DIRECTORY = Path(__file__).parent / "grafana"


def main() -> None:
    """Write them all."""
    DIRECTORY.mkdir(exist_ok=True)
    for board in BOARDS:
        (DIRECTORY / f"{board.uid}.json").write_text(text(board), encoding="utf-8")


if __name__ == "__main__":
    main()
