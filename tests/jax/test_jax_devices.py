"""Batches over several devices: eight of one process, and one each of two and of four processes over loopback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(600)]

EXACT = 1e-10
HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def found(processes: int, devices: int, names: list[str], seconds: float = 500.0) -> list[dict]:
    """What each process reports; all are ended whatever happens."""
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    environment["PYTHONPATH"] = str(HERE.parents[1])
    environment["JAX_PLATFORMS"] = "cpu"
    port = free_port() if processes > 1 else 0
    command = [sys.executable, str(HERE / "on_devices.py")]
    running = [
        subprocess.Popen(
            [*command, str(number), str(processes), str(port), *names],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        ended = [process.communicate(timeout=seconds) for process in running]
    finally:
        for process in running:
            process.kill()
    assert all(process.returncode == 0 for process in running), ended[0][1][-3000:]
    return [json.loads(out.strip().splitlines()[-1]) for out, _ in ended]


def check(reports: list[dict], devices: int) -> None:
    for report in reports:
        assert report["devices"] == devices
        worst = {
            (name, key): gap for name, gaps in report["gaps"].items() for key, gap in gaps.items() if not gap < EXACT
        }
        assert worst == {}


def test_eight_devices_of_one_process() -> None:
    check(found(1, 8, ["sparse", "dense", "curved"]), 8)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_over_loopback(processes: int) -> None:
    check(found(processes, 1, ["sparse"]), processes)
