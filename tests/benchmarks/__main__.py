"""Run the benchmarks and print the table of ratios: `python -m tests.benchmarks`."""

import argparse
from typing import Any

import numpy
from rich.console import Console
from rich.table import Table

from tests.benchmarks import record
from tests.benchmarks.entries import GROUPS, Entry
from tests.benchmarks.measure import interleaved
from tests.benchmarks.peers import peer_times, peer_versions
from tests.benchmarks.sweeps import SWEEPS, swept


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}, sweeps, peers; by default all but peers")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each entry is timed")
    parser.add_argument(
        "--store", action="store_true", help="keep this run as the one that later runs are held against"
    )
    chosen = parser.parse_args()
    known = {*GROUPS, "sweeps", "peers"}
    wanted = set(chosen.groups) or known - {"peers"}
    if wanted - known:
        parser.error(f"no group is called {', '.join(sorted(wanted - known))}: there are {', '.join(sorted(known))}")
    if chosen.store and not known - {"peers"} <= wanted:
        parser.error("--store keeps whole runs: name no groups")
    run = measured(wanted, chosen.seconds)
    show(run)
    before = record.last()
    for line in record.regressions(run, before):
        print("slower than the last stored run:", line)
    if before is not None:
        print(f"held against the run of {before['circumstances']['date']}")
    if chosen.store:
        record.store(run)


def measured(wanted: set[str], seconds: float) -> dict[str, Any]:
    """One run: circumstances, entries, sweeps and peers."""
    entries = [line for name, make in GROUPS.items() if name in wanted for line in timed(make(), seconds)]
    sweeps = [line for sweep in SWEEPS for line in swept(sweep, seconds / 4)] if "sweeps" in wanted else []
    peers = peer_times(seconds) if "peers" in wanted else []
    circumstances = record.circumstances() | ({"peers": peer_versions()} if peers else {})
    return {"circumstances": circumstances, "entries": entries, "sweeps": sweeps, "peers": peers}


def timed(entries: list[Entry], seconds: float) -> list[dict[str, Any]]:
    """Seconds of both ways, their ratio, and by how much their results differ."""
    calls = {(entry.name, "library"): entry.library for entry in entries}
    calls |= {(entry.name, "by hand"): entry.by_hand for entry in entries if entry.by_hand is not None}
    found = interleaved({" / ".join(key): call for key, call in calls.items()}, seconds)
    return [_line(entry, found) for entry in entries]


def _line(entry: Entry, found: dict[str, float]) -> dict[str, Any]:
    library, by_hand = found[f"{entry.name} / library"], found.get(f"{entry.name} / by hand")
    return {
        "name": entry.name,
        "seconds": library,
        "by_hand": by_hand,
        "ratio": None if by_hand is None else library / by_hand,
        "limit": entry.limit,
        "deviation": deviation(entry),
    }


def deviation(entry: Entry) -> float | None:
    """The largest difference of the two results, relative to the largest number."""
    if entry.by_hand is None:
        return None
    one, other = entry.same(entry.library()), entry.same(entry.by_hand())
    return float(numpy.abs(one - other).max() / numpy.abs(other).max())


def show(run: dict[str, Any]) -> None:
    """The tables, 100 columns wide."""
    console, at = Console(width=100), run["circumstances"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    console.print(f"{at['date']}, Python {at['python']}, {versions}, {', '.join(at['blas'])}")
    console.print(f"{at['machine']}; dgemm {at['dgemm_gflops']} GFLOP/s on one thread", highlight=False)
    table = Table("one thread, process time", "library", "compared with", "ratio", "wanted", box=None)
    for line in run["entries"]:
        ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f}"
        wanted = "" if line["ratio"] is None else f"{line['limit']:.1f}"
        by_hand = "" if line["by_hand"] is None else text(line["by_hand"])
        table.add_row(line["name"], text(line["seconds"]), by_hand, ratio, wanted)
    console.print(table)
    if run["sweeps"]:
        slopes = Table("growth with", "of", "from", "to", "slope", "claim", box=None)
        for line in run["sweeps"]:
            ends = text(line["seconds"][0]), text(line["seconds"][-1])
            slopes.add_row(line["sweep"], line["metric"], *ends, f"{line['slope']:.2f}", f"{line['claim']:.0f}")
        console.print(slopes)
    if run["peers"]:
        console.print(", ".join(f"{name} {version}" for name, version in peer_versions().items()))
        peers = Table("peer", "takes", "library", "times as long", "apart by", box=None)
        for line in run["peers"]:
            times = text(line["seconds"]), text(line["library"])
            peers.add_row(line["name"], *times, f"{line['ratio']:.1f}", f"{line['deviation']:.0e}")
        console.print(peers)


def text(seconds: float) -> str:
    """Microseconds or milliseconds.

    >>> text(0.000123), text(0.0456)
    ('123 us', '45.6 ms')
    """
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


if __name__ == "__main__":
    main()
