"""A run of the benchmarks as JSON: with versions and machine, and held against the last one stored."""

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy
from threadpoolctl import threadpool_info

from tests.benchmarks.measure import interleaved

LAST = Path(__file__).parent / "last_run.json"
# A ratio that grew by more than this against the last stored run is shown as slower; timings on a shared machine
# differ by about half of it from one run to the next.
NOISE = 1.25
# Slopes vary by about this much.
SLOPE_NOISE = 0.2


def circumstances() -> dict[str, Any]:
    """Date, versions and machine."""
    blas = [
        f"{found['internal_api']} {found['version']} ({found.get('architecture', 'unknown')} kernels)"
        for found in threadpool_info()
        if found["user_api"] == "blas"
    ]
    return {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "autograd", "attrs")},
        "blas": sorted(set(blas)),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "dgemm_gflops": dgemm_gflops(),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def dgemm_gflops() -> float:
    """What one thread's matrix product reaches, in 1e9 operations a second: the yardstick for everything else."""
    a = numpy.ones((1024, 1024))
    return round(2 * 1024**3 / interleaved({"product": lambda: a @ a}, 0.3)["product"] / 1e9, 1)


def store(run: dict[str, Any], path: Path = LAST) -> None:
    """Write a run, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def last(path: Path = LAST) -> dict[str, Any] | None:
    """The run stored last, if there is one."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def regressions(run: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    """What is slower against its hand-written counterpart, or grows faster, than in the run before."""
    if before is None:
        return []
    ratios = {line["name"]: line["ratio"] for line in before["entries"] if line["ratio"]}
    slopes = {(line["sweep"], line["metric"]): line["slope"] for line in before["sweeps"]}
    found = [
        f"{line['name']}: ratio {line['ratio']:.2f}, was {ratios[line['name']]:.2f}"
        for line in run["entries"]
        if line["ratio"] and line["name"] in ratios and line["ratio"] > NOISE * ratios[line["name"]]
    ]
    for line in run["sweeps"]:
        was = slopes.get((line["sweep"], line["metric"]))
        if was is not None and line["slope"] > was + SLOPE_NOISE:
            found.append(f"{line['metric']} by {line['sweep']}: slope {line['slope']:.2f}, was {was:.2f}")
    return found
