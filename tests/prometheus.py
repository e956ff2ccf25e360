"""A real Prometheus for the tests: it scrapes what it is told to, evaluates rules and answers queries."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.postgres import free_port
from tests.requirements import program

READY_WITHIN = 30.0  # seconds; a start takes about a tenth of one
SCRAPED_WITHIN = 60.0  # the first scrape comes five seconds after the start, whatever the interval
STOPPED_WITHIN = 30.0


class Found(NamedTuple):
    """One series of an instant query's answer; of a scalar there are no labels."""

    labels: Mapping[str, str]
    value: float


@dataclass
class Prometheus:
    """A running server. Nothing is promised about a target before :meth:`wait_for_scrapes`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def query(self, expression: str) -> list[Found]:
        """What ``expression`` is now; the test fails with the server's words when it is not PromQL."""
        data = self.api("query", query=expression)
        if data["resultType"] in ("scalar", "string"):
            return [Found({}, float(data["result"][1]))]
        return [Found(series["metric"], float(series["value"][1])) for series in data["result"]]

    def value(self, expression: str) -> float:
        """The value of ``expression``, which must be of exactly one series."""
        found = self.query(expression)
        assert len(found) == 1, f"{expression}: {found}"
        return found[0].value

    def api(self, path: str, **parameters: str) -> Any:
        """The data of one answer of ``/api/v1``: of ``targets``, ``rules``, ``metadata`` and the like."""
        url = f"{self.url}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise AssertionError(f"{parameters}: {refusal.read().decode()}") from None

    def wait_for_scrapes(self, job: str, times: int = 1) -> None:
        """Return when the target of ``job`` was scraped that often from now on, and every time with success."""
        since = self._scrapes(job)
        deadline = time.monotonic() + SCRAPED_WITHIN
        while self._scrapes(job) < since + times:
            assert time.monotonic() < deadline, f"{job} was not scraped: {self._errors(job)}\n{self.log.read_text()}"
            time.sleep(0.1)  # it is another process: whether it has scraped can only be asked
        assert not self._errors(job)

    def _scrapes(self, job: str) -> int:
        return sum(int(found.value) for found in self.query(f'sum_over_time(up{{job="{job}"}}[1h])'))

    def _errors(self, job: str) -> list[str]:
        targets = self.api("targets")["activeTargets"]
        return [target["lastError"] for target in targets if target["labels"]["job"] == job and target["lastError"]]


@contextmanager
def run_prometheus(
    directory: Path, targets: Mapping[str, str], *, rules: Sequence[Path] = (), every: str = "1s", token: str | None = None
) -> Iterator[Prometheus]:
    """Start a Prometheus with its data in ``directory``, and stop it at the end; the test is skipped where there is none.

    ``targets`` has the URL to scrape by the name of its job; ``token`` goes with every scrape. Rules are evaluated as often
    as targets are scraped.
    """
    binary = program("prometheus")
    directory.mkdir(parents=True, exist_ok=True)
    config, log, port = directory / "prometheus.yml", directory / "prometheus.log", free_port()
    config.write_text(json.dumps(_configuration(targets, rules, every, token)), encoding="utf-8")  # JSON is YAML
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    prometheus = Prometheus(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_until_ready(prometheus)
        yield prometheus
    finally:
        process.terminate()
        process.wait(STOPPED_WITHIN)


def _configuration(targets: Mapping[str, str], rules: Sequence[Path], every: str, token: str | None) -> dict[str, Any]:
    authorization = {} if token is None else {"authorization": {"credentials": token}}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [{**_scraped(job, url), **authorization} for job, url in targets.items()],
    }


def _scraped(job: str, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "job_name": job,
        "scheme": parts.scheme,
        "metrics_path": parts.path or "/",
        "static_configs": [{"targets": [parts.netloc]}],
    }


def _wait_until_ready(prometheus: Prometheus) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(f"{prometheus.url}/-/ready"):
        if prometheus.process.poll() is not None:
            raise RuntimeError(f"prometheus ended with {prometheus.process.returncode}:\n{prometheus.log.read_text()}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"prometheus was not ready within {READY_WITHIN} s:\n{prometheus.log.read_text()}")
        time.sleep(0.05)  # it is another process: whether it is ready can only be asked


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:  # also an HTTPError: it answers 503 until it is ready
        return False
