"""How much room the file system of the data directory has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collector.persist import disk
from tests.service import run_service

FREE, SIZE = "collector_data_filesystem_free_bytes", "collector_data_filesystem_size_bytes"


@pytest.mark.slow
def test_a_process_tells_of_its_disk(tmp_path: Path) -> None:
    """Once the cap was measured, the half of the replica says how large the file system is and that some of it is free."""
    with run_service(tmp_path) as service:
        service.prometheus_url += "/replica"
        while not service.sample(SIZE):
            pass
        free, size = service.sample(FREE), service.sample(SIZE)

    found = os.statvfs(tmp_path)
    assert size == found.f_blocks * found.f_frsize
    assert 0 < free <= size


def test_a_directory_that_is_not_there_is_no_full_disk(tmp_path: Path) -> None:
    """On PostgreSQL there may be none: both are 0, whatever they were before."""
    disk.measure(tmp_path)
    before = [sample.value for gauge in (disk.FREE, disk.SIZE) for metric in gauge.collect() for sample in metric.samples]

    disk.measure(tmp_path / "none")

    after = [sample.value for gauge in (disk.FREE, disk.SIZE) for metric in gauge.collect() for sample in metric.samples]
    assert min(before) > 0
    assert after == [0, 0]
