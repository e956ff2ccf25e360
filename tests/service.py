"""The real collector as a process of its own, for tests that talk to it over HTTP alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.postgres import free_port

READY_WITHIN = 90.0  # seconds; a start takes about one, and on a machine with much else to do many
STOPPED_WITHIN = 60.0
SECRETS = "first-start-secrets.json"
ROOT = Path(__file__).resolve().parent.parent
SERVE = (sys.executable, "-m", "collector", "serve")


@dataclass
class Service:
    """A collector with its own data directory and its own free ports, which stay the same over restarts."""

    data: Path
    env: dict[str, str]
    url: str
    prometheus_url: str
    command: Sequence[str] = SERVE
    descriptors: Sequence[int] = ()  # that the process inherits
    root: Path = ROOT  # where its code is
    process: subprocess.Popen[bytes] = field(init=False)
    admin_token: str = field(init=False)
    browser_key: str = field(init=False)
    feed_key: str = field(init=False)

    @property
    def log(self) -> str:
        """All that the service has printed over all its starts."""
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and return when it is ready and its secrets are known."""
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.root,
                env=self.env,
                pass_fds=self.descriptors,
                stdin=subprocess.DEVNULL,  # no terminal: the secrets go to a file
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready()
            self._read_secrets()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to stop, and fail the test unless it drains and exits with 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOPPED_WITHIN)
        assert code == 0, f"the service ended with {code}:\n{self.log}"

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(STOPPED_WITHIN)

    def restart(self) -> None:
        """Start it again on the same data and ports; stops it first when it still runs."""
        if self.process.poll() is None:
            self.stop()
        self.start()

    def get(self, path: str) -> Any:
        """The JSON that the admin gets from ``path``, which starts with a slash."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.admin_token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def metrics(self) -> str:
        """What Prometheus would scrape, as text."""
        with urllib.request.urlopen(self.prometheus_url, timeout=10) as response:
            text: bytes = response.read()
        return text.decode()

    def counted(self) -> str:
        """The same, once what is in the store now is in a snapshot."""
        asked_at = time.time()
        deadline = time.monotonic() + READY_WITHIN
        while True:
            scraped_at, text = time.time(), self.metrics()
            age = re.search(r"^collector_metrics_age_seconds (.+)$", text, re.MULTILINE)
            if age is not None and scraped_at - float(age[1]) > asked_at:
                return text
            assert time.monotonic() < deadline, self.log

    def sample(self, name: str, **labels: str) -> float:
        """The sum of what Prometheus would scrape as ``name`` with at least these labels."""
        return summed(self.metrics(), name, **labels)

    def total(self, name: str, **labels: str) -> float:
        """The same of what the store holds now."""
        return summed(self.counted(), name, **labels)

    def answers(self, method: str, **labels: str) -> float:
        """How many requests of ``method`` browsers' reports came with, by any answer or by those of one ``status``."""
        return self.sample("collector_http_requests_total", route="/api/v2/csp/reports", method=method, **labels)

    def _read_secrets(self) -> None:
        secrets_file = self.data / SECRETS
        assert secrets_file.stat().st_mode & 0o777 == 0o600, "the first-start secrets must be the owner's alone"
        secrets = json.loads(secrets_file.read_bytes())
        self.admin_token = secrets.get("admin_token", "")  # not there when it was given
        self.browser_key, self.feed_key = secrets["browser_key"], secrets["feed_key"]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not _answers(f"{self.url}/readyz"):
            if self.process.poll() is not None:
                raise RuntimeError(f"the service ended with {self.process.returncode} before it was ready:\n{self.log}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service was not ready within {READY_WITHIN} s:\n{self.log}")
            time.sleep(0.05)  # it is another process: whether it is ready can only be asked


def summed(text: str, name: str, **labels: str) -> float:
    """The sum of the samples that are called ``name`` and have at least these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def environment(data: Path, **options: str) -> dict[str, str]:
    """Ours without its options, for a collector with its data in ``data`` and ports of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CODER_", "COLLECTOR_"))}
    ports = {"CODER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}", "CODER_PROMETHEUS_ADDRESS": f"127.0.0.1:{free_port()}"}
    quiet = {"COLLECTOR_CANARY": "false"}  # what a test counts is what it has sent
    return clean | {"COLLECTOR_DATA_DIR": str(data)} | quiet | ports | options


def serve_and_fail(data: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """A start that ends by itself, with what it said."""
    return subprocess.run(
        SERVE, cwd=ROOT, env=environment(data, **options), check=False, capture_output=True, text=True, timeout=60
    )


@contextmanager
def run_service(tmp_path: Path, root: Path = ROOT, /, **env: str) -> Iterator[Service]:
    """Start a collector on loopback with its data in ``tmp_path``, and stop it at the end; ``env`` adds to its environment.

    Its code is that at ``root``.
    """
    data = tmp_path / "data"
    data.mkdir(parents=True, exist_ok=True)
    # A test should not wait 30 s for a snapshot.
    whole = environment(data, **{"CODER_AGENT_STATS_REFRESH_INTERVAL": "1s"} | env)
    address, prometheus = whole["CODER_HTTP_ADDRESS"], whole["CODER_PROMETHEUS_ADDRESS"]
    service = Service(data, whole, f"http://{address}", f"http://{prometheus}/metrics", root=root)
    service.start()
    try:
        yield service
    except BaseException:
        if service.process.poll() is None:
            service.kill()
        raise
    if service.process.poll() is None:
        service.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as refusal:  # it answers 503: not ready
        refusal.close()
        return False
    except OSError:  # nobody listens yet
        return False
