"""Where batches come from: every sample once an epoch, in an order that a position says, from memory, files and streams."""

from pathlib import Path
from typing import Any

import attrs
import numpy
import pytest
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.errors import DataError
from manifoldnet.learning.dataset import Stored
from manifoldnet.learning.feed import POOL, Feed, StoredFeed, StreamFeed, feed_of
from manifoldnet.learning.state import Position
from manifoldnet.learning.train import train


def program() -> mn.Program:
    net = mn.Network("line")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=2)])])
    return mn.compile(net)


def numbered(samples: int) -> tuple[NDArray, NDArray]:
    """Rows that say who they are, twice."""
    rows = numpy.arange(float(samples))
    return numpy.stack([rows, -rows], axis=1), rows


class InFile(Stored):
    """An array that counts how it is read."""

    def __init__(self, values: NDArray, block: int) -> None:
        self._values, self._block, self.read = values, block, []

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    @property
    def block(self) -> int:
        return self._block

    def __getitem__(self, rows: Any) -> NDArray:
        found = self._values[rows]
        self.read.append(len(found))
        return found


def epochs(feed: Feed, count: int, seed: int = 0) -> list[list[NDArray]]:
    """The rows of each batch, by epoch."""
    position, rng = Position(), numpy.random.default_rng(seed)
    found: list[list[NDArray]] = [[] for _ in range(count)]
    while position.epoch < count:
        at = position.epoch
        taken = feed.next(position, rng)
        assert taken is not None
        (points, targets), position = taken
        numpy.testing.assert_array_equal(points["x"][:, 0, 0], targets["out"].reshape(-1))
        numpy.testing.assert_array_equal(points["x"][:, 1, 0], -targets["out"].reshape(-1))
        found[at].append(points["x"][:, 0, 0])
    return found


def feeds(samples: int, size: int) -> dict[str, Feed]:
    inputs, targets = numbered(samples)
    made = program()
    return {
        "memory": feed_of(made, mn.Dataset(inputs, targets), size),
        "file": feed_of(made, mn.Dataset(InFile(inputs, 7), InFile(targets, 7)), size),
        "stream": feed_of(
            made, mn.Stream(lambda: ((inputs[i : i + 5], targets[i : i + 5]) for i in range(0, samples, 5))), size
        ),
    }


@pytest.mark.parametrize("kind", ["memory", "file", "stream"])
@pytest.mark.parametrize(("samples", "size"), [(100, 10), (101, 10), (1, 4), (3, 5), (256, 3), (57, 57)])
def test_every_sample_comes_once_an_epoch(kind: str, samples: int, size: int) -> None:
    feed = feeds(samples, size)[kind]
    found = epochs(feed, 3)
    for batches in found:
        assert sorted(numpy.concatenate(batches)) == list(range(samples))
        assert all(1 <= len(batch) <= size for batch in batches)
    orders = [numpy.concatenate(batches).tolist() for batches in found]
    if kind == "stream":
        assert orders[0] == orders[1] == list(range(samples))
    elif samples > 50:
        assert orders[0] != orders[1] != orders[2] and orders[0] != list(range(samples))
        # samples that lie together are not read together
        assert (numpy.abs(numpy.diff(orders[0])) == 1).mean() < 0.2
    again = [numpy.concatenate(batches).tolist() for batches in epochs(feeds(samples, size)[kind], 3)]
    other = [numpy.concatenate(batches).tolist() for batches in epochs(feeds(samples, size)[kind], 3, seed=1)]
    assert again == orders and (kind == "stream" or samples < 50 or other != orders)


@pytest.mark.parametrize("kind", ["memory", "file", "stream"])
def test_any_position_can_be_gone_on_from(kind: str) -> None:
    """A feed made anew gives at each position what the first one gave there."""
    position, rng = Position(), numpy.random.default_rng(3)
    first = feeds(67, 4)[kind]
    for _ in range(40):
        before = numpy.random.default_rng(0)
        before.bit_generator.state = rng.bit_generator.state
        taken = first.next(position, rng)
        other = feeds(67, 4)[kind].next(position, before)
        assert taken is not None and other is not None
        numpy.testing.assert_array_equal(taken[0][0]["x"], other[0][0]["x"])
        assert before.bit_generator.state == rng.bit_generator.state
        assert taken[1] == other[1]
        position = taken[1]


def test_files_are_read_by_blocks_and_some_at_a_time() -> None:
    inputs, targets = numbered(10_000)
    stored = InFile(inputs, 100)
    feed = StoredFeed(program(), mn.Dataset(stored, targets), 10)
    assert stored.read == [100] * 100, "looked through once, before training"
    stored.read.clear()
    epochs(feed, 1)
    assert sum(stored.read) == 10_000 and max(stored.read) <= 100 * POOL
    assert len(stored.read) <= 101


def test_a_stream_that_is_an_iterator_ends_training() -> None:
    inputs, targets = numbered(40)
    made = program()
    data = mn.Stream(iter([(inputs[:20] / 40, targets[:20] / 40), (inputs[20:] / 40, targets[20:] / 40)]))
    schedule = mn.Minibatches(steps=1000, batch=5, damping=mn.Tikhonov(0.1))
    done = train(
        made, made.parameters(numpy.zeros(3)), data, mn.Backpropagated(), schedule, numpy.random.default_rng(0)
    )
    assert [record.step for record in done.history.records] == list(range(1, 9))
    spent = mn.Stream(iter([]))
    assert StreamFeed(made, spent, 5).next(Position(), numpy.random.default_rng(0)) is None


def test_what_a_stream_must_not_yield_is_told_by_batch() -> None:
    made, rng = program(), numpy.random.default_rng(0)
    good = (numpy.zeros((2, 2)), numpy.zeros(2))
    cases = {
        "batch 1 of the stream must be a pair": 3,
        r"batch 1 of the stream: input 'x' has shape": (numpy.zeros((2, 5)), numpy.zeros(2)),
        r"batch 1 of the stream: .*row 1, column 0 holds nan": (
            numpy.array([[0.0, 0.0], [numpy.nan, 1.0]]),
            numpy.zeros(2),
        ),
    }
    for told, bad in cases.items():
        feed = StreamFeed(made, mn.Stream([good, bad]), 2)
        with pytest.raises(DataError, match=told):
            feed.next(Position(), rng)


def test_a_stream_can_be_cleaned() -> None:
    batches = [
        (numpy.array([[0.0, 0.0], [numpy.inf, 1.0]]), numpy.zeros(2)),
        (numpy.array([[numpy.nan, 0.0]]), numpy.zeros(1)),
        (numpy.array([[5.0, 0.0]]), numpy.array([1.0])),
    ]
    found = list(mn.without_bad_rows(mn.Stream(batches)).epoch())
    assert [inputs.tolist() for inputs, _ in found] == [[[0.0, 0.0]], [[5.0, 0.0]]]
    once = mn.without_bad_rows(mn.Stream(iter(batches)))
    assert not once.is_endless and len(list(once.epoch())) == 2


@pytest.mark.parametrize("where", ["memory", "file", "memmap"])
def test_bad_rows_are_named_and_can_be_dropped(where: str, tmp_path: Path) -> None:
    inputs, targets = numbered(50)
    inputs[13, 1], targets[40] = numpy.nan, numpy.inf
    parts: tuple[Any, Any] = (inputs, targets)
    if where == "file":
        parts = InFile(inputs, 8), InFile(targets, 8)
    if where == "memmap":
        numpy.save(tmp_path / "x.npy", inputs)
        parts = numpy.load(tmp_path / "x.npy", mmap_mode="r", allow_pickle=False), targets
    data = mn.Dataset(*parts, validation=(inputs[10:20], targets[10:20]))
    with pytest.raises(DataError, match=r"row 13, column 1 holds nan.*(without_bad_rows)"):
        feed_of(program(), data, 10)
    clean = mn.without_bad_rows(data)
    assert clean.samples == 48 and clean.validation is not None and len(clean.validation[0]) == 9
    assert (clean.block is None) == (where == "memory")
    rows = epochs(feed_of(program(), clean, 10), 1)
    assert sorted(numpy.concatenate(rows[0])) == sorted(set(range(50)) - {13, 40})
    other = attrs.evolve(data, inputs=numbered(50)[0])
    with pytest.raises(DataError, match=r"row 40.*inf|inf in row 40"):
        feed_of(program(), other, 10)
    with pytest.raises(DataError, match="none would be left"):
        mn.without_bad_rows(mn.Dataset(numpy.full((3, 2), numpy.nan), numpy.zeros(3)))
