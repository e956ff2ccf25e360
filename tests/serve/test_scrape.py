"""/metrics as a real Prometheus takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prometheus import run_prometheus
from tests.serve.test_exporter import data_of_every_kind
from tests.service import run_service


@pytest.mark.slow
def test_a_real_prometheus_takes_it(tmp_path: Path) -> None:
    """Scraped twice with success, the counters and the snapshot are there to be asked for."""
    with run_service(tmp_path / "service") as service:
        data_of_every_kind(service)
        with run_prometheus(tmp_path / "prometheus", {"collector": service.prometheus_url}) as prometheus:
            prometheus.wait_for_scrapes("collector", 2)

            assert prometheus.value("sum(collector_csp_reports_total)") == 1
            assert prometheus.value('collector_deployment_workspaces{status="pending"}') == 1
            assert {meta[0]["type"] for meta in prometheus.api("metadata", metric="collector_queue_reports").values()} == {
                "gauge"
            }
