"""Synthetic agents: what each would say of its last period. Bytes are of the period, sessions of the moment."""

from __future__ import annotations

import math
import random

import msgspec

from collector.simulate.curves import (
    APP_SHARES,
    LATENCY_MS,
    LATENCY_SPREAD,
    RX_BYTES_A_SECOND,
    TX_BYTES_A_SECOND,
    session_share,
)
from collector.simulate.workspaces import Workspace, rfc3339, uuid

NO_PEER = -0.001  # what an agent sends when nobody is connected: -1, divided by 1000 like every latency
TRAFFIC_SPREAD = 0.8
TERMINAL_BESIDE = 0.1  # the chance that a terminal is open beside the editor
STAYS = 0.9  # the chance that whoever is there, or away, still is one report later


class Metric(msgspec.Struct, frozen=True):
    """One sample of the agent's own metrics."""

    name: str
    type: str
    value: float


class Stats(msgspec.Struct, frozen=True):
    """An agent's report, with the keys that Coder's agents use."""

    connections_by_proto: dict[str, int]
    connection_count: int
    connection_median_latency_ms: float
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    session_count_vscode: int
    session_count_jetbrains: int
    session_count_reconnecting_pty: int
    session_count_ssh: int
    metrics: tuple[Metric, ...]


class AgentRow(msgspec.Struct, frozen=True):
    """One row of a POST to the agent-stats feed; ``id`` makes a repetition harmless."""

    id: str
    agent_id: str
    workspace_id: str
    user_id: str
    template_id: str
    collected_at: str
    agent_name: str
    workspace_name: str
    username: str
    template_name: str
    stats: Stats


class Agent:
    """The agent in one workspace, and the person who uses it."""

    def __init__(self, workspace: Workspace, rng: random.Random) -> None:
        self.workspace, self.rng = workspace, rng
        self.id = uuid(rng)
        self.app = rng.choices(list(APP_SHARES), list(APP_SHARES.values()))[0]
        self.latency_ms = LATENCY_MS * math.exp(rng.gauss(0, LATENCY_SPREAD))
        self.present: bool | None = None  # until the first report

    def report(self, now_ms: int, period_seconds: float, run: str) -> AgentRow:
        """The row for the period that ends now; ``run`` makes its id unlike that of any other simulation."""
        if self.present is None or self.rng.random() > STAYS:
            self.present = self.rng.random() < session_share(now_ms)
        workspace = self.workspace
        return AgentRow(
            id=f"{run}-{self.rng.getrandbits(96):024x}",
            agent_id=self.id,
            workspace_id=workspace.id,
            user_id=workspace.owner_id,
            template_id=workspace.template_id,
            collected_at=rfc3339(now_ms),
            agent_name="main",
            workspace_name=workspace.name,
            username=workspace.owner,
            template_name=workspace.template,
            stats=self._busy(period_seconds) if self.present else IDLE,
        )

    def _busy(self, period_seconds: float) -> Stats:
        rx_bytes, tx_bytes = self._bytes(RX_BYTES_A_SECOND * period_seconds), self._bytes(TX_BYTES_A_SECOND * period_seconds)
        connections = self.rng.randint(1, 6)
        terminal = self.rng.random() < TERMINAL_BESIDE
        return Stats(
            connections_by_proto={"TCP": connections},
            connection_count=connections,
            connection_median_latency_ms=round(self.latency_ms * self.rng.uniform(0.85, 1.3), 3),
            rx_packets=rx_bytes // 600 + 1,
            rx_bytes=rx_bytes,
            tx_packets=tx_bytes // 1100 + 1,
            tx_bytes=tx_bytes,
            session_count_vscode=int(self.app == "vscode"),
            session_count_jetbrains=int(self.app == "jetbrains"),
            session_count_reconnecting_pty=int(self.app == "reconnecting_pty" or terminal),
            session_count_ssh=int(self.app == "ssh"),
            metrics=(Metric("coderd_agentstats_currently_reachable_peers", "gauge", 1),),
        )

    def _bytes(self, mean: float) -> int:
        # The mean of a log-normal is exp(mu + sigma²/2): mu = -sigma²/2 makes it 1.
        return int(mean * self.rng.lognormvariate(-(TRAFFIC_SPREAD**2) / 2, TRAFFIC_SPREAD))


IDLE = Stats(
    connections_by_proto={},
    connection_count=0,
    connection_median_latency_ms=NO_PEER,
    rx_packets=0,
    rx_bytes=0,
    tx_packets=0,
    tx_bytes=0,
    session_count_vscode=0,
    session_count_jetbrains=0,
    session_count_reconnecting_pty=0,
    session_count_ssh=0,
    metrics=(Metric("coderd_agentstats_currently_reachable_peers", "gauge", 0),),
)
