"""The stored run as the tables of docs/performance.md: `python -m tests.benchmarks.page`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.__main__ import text

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def tables(run: dict[str, Any]) -> dict[str, str]:
    """What stands on the page between `<!-- run: NAME -->` and `<!-- end -->`."""
    return {
        "circumstances": circumstances(run),
        "entries": entries(run["entries"]),
        "sweeps": sweeps(run["sweeps"]),
        "peers": peers(run["peers"], run["circumstances"].get("peers", {})),
    }


def circumstances(run: dict[str, Any]) -> str:
    at = run["circumstances"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    return (
        f"{at['date']}. Python {at['python']}, {versions}; {', '.join(at['blas'])}; {at['machine']}, of which one thread\n"
        f"reaches {at['dgemm_gflops']} GFLOP/s in a matrix product."
    )


def entries(lines: Iterable[dict[str, Any]]) -> str:
    head = ("one thread, process time", "library", "compared with", "ratio", "wanted")
    return _table(head, ([line["name"], text(line["seconds"]), *_compared(line)] for line in lines))


def _compared(line: dict[str, Any]) -> list[str]:
    if line["ratio"] is None:
        return ["", "", ""]
    return [text(line["by_hand"]), f"{line['ratio']:.2f}", f"{line['limit']:.1f}"]


def sweeps(lines: Iterable[dict[str, Any]]) -> str:
    head = ("growth with", "of", "from", "to", "slope", "claim")
    return _table(
        head,
        (
            [
                f"{line['sweep']} {line['sizes'][0]:,} to {line['sizes'][-1]:,}",
                line["metric"],
                text(line["seconds"][0]),
                text(line["seconds"][-1]),
                f"{line['slope']:.2f}",
                f"{line['claim']:.0f}",
            ]
            for line in lines
        ),
    )


def peers(lines: Iterable[dict[str, Any]], versions: Mapping[str, str]) -> str:
    head = ("peer", "takes", "library", "times as long", "apart by")
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{named}.\n\n" + _table(
        head,
        (
            [
                line["name"],
                text(line["seconds"]),
                text(line["library"]),
                f"{line['ratio']:.1f}",
                f"{line['deviation']:.0e}",
            ]
            for line in lines
        ),
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = list(head)
    lines = [cells, ["---"] * len(cells), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written(page: str, run: dict[str, Any]) -> str:
    """The page with the run's tables in their places; raises LookupError where a place is missing."""
    for name, table in tables(run).items():
        place = re.compile(rf"(<!-- run: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if place.search(page) is None:
            raise LookupError(f"the page has no place for {name}: <!-- run: {name} --> and <!-- end -->")
        page = place.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", page)  # type: ignore[misc]
    return page


def main() -> None:
    run = record.last()
    if run is None:
        raise LookupError("no run is stored: python -m tests.benchmarks --store")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), run), encoding="utf-8")


if __name__ == "__main__":
    main()
