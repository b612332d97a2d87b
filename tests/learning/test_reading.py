"""Data in files: what is read is what was written; what is damaged or no number is told by line and column."""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest

import manifoldnet as mn
from manifoldnet.errors import ArchiveError, DataError
from manifoldnet.learning.archives import read_archive, write_archive
from manifoldnet.learning.reading import csv_file
from tests.learning.test_feeds import epochs, numbered, program


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("block", [1, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_csv_file_is_its_numbers(header: bool, block: int, end: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_NUMBERS", 3 * block)
    values = numpy.random.default_rng(0).standard_normal((20, 3))
    line_end = end or "\n"
    lines = [",".join(map(repr, map(float, row))) for row in values]
    text = ("a,b,target" + line_end if header else "") + line_end.join(lines) + end
    (tmp_path / "data.csv").write_bytes(text.encode())
    data = mn.read_csv(tmp_path / "data.csv", targets=["target"] if header else [2], header=header)
    assert data.samples == 20 and data.block == block
    numpy.testing.assert_array_equal(data.inputs, values[:, :2])
    numpy.testing.assert_array_equal(data.targets, values[:, 2:])
    rows = numpy.array([19, 0, 7, 7, 3])
    numpy.testing.assert_array_equal(data.batch(rows)[0], values[rows, :2])
    numpy.testing.assert_array_equal(data.batch(slice(5, 18, 4))[1], values[5:18:4, 2:])
    single = mn.read_csv(tmp_path / "data.csv", targets=2, inputs=[1, 0], header=header)
    assert single.targets.shape == (20,)
    numpy.testing.assert_array_equal(single.inputs, values[:, [1, 0]])


def test_a_csv_file_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_NUMBERS", 30)
    inputs, targets = numbered(100)
    table = numpy.column_stack([inputs, targets])
    numpy.savetxt(tmp_path / "data.csv", table, delimiter=";", header="p;q;out", comments="")
    data = mn.read_csv(tmp_path / "data.csv", targets="out", delimiter=";")
    from_file = mn.trainer_for(program(), data, mn.Euclidean(), mn.Minibatches(batch=4))
    assert sorted(numpy.concatenate(epochs(from_file._feed, 1)[0])) == list(range(100))


def test_mistakes_in_a_csv_file_are_told_by_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    cases = {
        "a,b\n1,2\n3,x\n": r"data.csv:3: column 'b' holds 'x', which is no number",
        "a,b\n1,2\n3\n": r"data.csv:3: 1 fields, expected 2",
        "a,b\n1,2,3\n": r"data.csv:2: 3 fields, expected 2",
        "a,b\r1,2\r3,4\r": r"data.csv:1: a carriage return .* within a line.*replace it first",
        "a,b\n1,2\r3,4\n": r"data.csv:2: a carriage return .* within a line.*replace it first",
        "a,b\n1,2\r3,4\n\n": r"data.csv:2: a carriage return .* within a line.*replace it first",
        "a,a\n1,2\n": "two columns have one name",
        "a,b\n": "holds no rows",
        "": "is empty",
        "a,b\n1,\xff2\n": "holds '.2'|no line of text",
        "\x00\x01\x02": "no line of text|no rows",
    }
    for text, told in cases.items():
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(DataError, match=told):
            numpy.asarray(mn.read_csv(path, targets=1).inputs)
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="there is no column 'c': there are a, b"):
        mn.read_csv(path, targets="c")
    with pytest.raises(DataError, match="needs columns for inputs"):
        mn.read_csv(path, targets=["a", "b"])


def test_empty_fields_are_not_a_number_and_can_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("p,q,out\n0,0,0\n1,,1\n2,-2,2\n", encoding="utf-8")
    data = mn.read_csv(path, targets="out")
    with pytest.raises(DataError, match=r"inputs: .*data.csv:3, column 'q' holds nan"):
        mn.trainer_for(program(), data, mn.Euclidean(), mn.Minibatches(batch=2))
    clean = mn.without_bad_rows(data)
    numpy.testing.assert_array_equal(clean.inputs, [[0, 0], [2, -2]])


def test_npz_files_are_read_in_place_unless_they_are_compressed(tmp_path: Path) -> None:
    inputs, targets = numbered(30)
    numpy.savez(tmp_path / "plain.npz", x=inputs, y=targets, f=numpy.asfortranarray(inputs))
    numpy.savez_compressed(tmp_path / "small.npz", x=inputs, y=targets)
    plain = mn.read_npz(tmp_path / "plain.npz", "x", "y")
    assert isinstance(plain.inputs, numpy.memmap) and plain.block is not None
    small = mn.read_npz(tmp_path / "small.npz", "x", "y")
    assert not isinstance(small.inputs, numpy.memmap)
    for data in (plain, small, mn.read_npz(tmp_path / "plain.npz", "f", "y")):
        numpy.testing.assert_array_equal(data.inputs, inputs)
        trainer = mn.trainer_for(program(), data, mn.Euclidean(), mn.Minibatches())
        assert sorted(numpy.concatenate(epochs(trainer._feed, 1)[0])) == list(range(30))
    named = mn.read_npz(tmp_path / "plain.npz", {"x": "x"}, "y")
    assert named.samples == 30
    with pytest.raises(ArchiveError, match="holds no array 'z': it holds x, y, f"):
        mn.read_npz(tmp_path / "plain.npz", "z", "y")


def test_parquet_files_are_their_numbers(tmp_path: Path) -> None:
    inputs, targets = numbered(100)
    columns = {"p": inputs[:, 0], "q": inputs[:, 1], "out": targets.astype("int32"), "name": ["a"] * 100}
    pyarrow.parquet.write_table(
        pyarrow.table(columns).select(["p", "q", "out"]), tmp_path / "d.parquet", row_group_size=13
    )
    data = mn.read_parquet(tmp_path / "d.parquet", targets="out")
    assert (data.samples, data.block) == (100, 13)
    numpy.testing.assert_array_equal(data.inputs, inputs)
    rows = numpy.array([99, 4, 50])
    numpy.testing.assert_array_equal(data.batch(rows)[1], targets[rows])
    trainer = mn.trainer_for(program(), data, mn.Euclidean(), mn.Minibatches(batch=4))
    assert sorted(numpy.concatenate(epochs(trainer._feed, 1)[0])) == list(range(100))
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "e.parquet")
    with pytest.raises(DataError, match="column 'name' holds string, expected numbers"):
        numpy.asarray(mn.read_parquet(tmp_path / "e.parquet", targets="out").inputs)
    (tmp_path / "f.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match="is no Parquet file"):
        mn.read_parquet(tmp_path / "f.parquet", targets="out")


def archive_with(path: Path, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def header_of(shape: str, descr: str = "'<f8'", extra: str = "") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {extra}}}"
    text = text + " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def test_archives_come_back(tmp_path: Path) -> None:
    arrays = {
        "a/b": numpy.eye(3),
        "n": numpy.array(3),
        "t": numpy.array("text"),
        "e": numpy.zeros((0, 4)),
        "file": numpy.arange(3),
    }
    for compress in (True, False):
        write_archive(tmp_path / "a.npz", arrays, compress)
        found = read_archive(tmp_path / "a.npz")
        assert found.keys() == arrays.keys()
        for name, values in arrays.items():
            numpy.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header_of("(3,)", "'|O'") + b"\x80\x04N.", "holds object|no array"),
        (header_of("(3,)") + bytes(23), "promises 24 bytes|holds 23"),
        (header_of("(3,)") + bytes(25), "holds 25 bytes or more, expected 24"),
        (header_of("(1000000000000,)") + bytes(8), "promises 8000000000000"),
        (header_of("(-1,)") + bytes(8), "shape|no array"),
        (header_of("(2,)", "'<f8'", "'__import__': 1") + bytes(16), "no array"),
        (header_of("__import__('os').system('true')") + bytes(16), "no array"),
        (b"\x93NUMPY\x03\x00" + bytes(20), "version"),
        (b"\x80\x04cos\nsystem\n", "no array"),
        (b"", "no array"),
    ],
)
def test_archives_that_lie_are_refused(content: bytes, told: str, tmp_path: Path) -> None:
    path = archive_with(tmp_path / "x.npz", "x.npy", content)
    with pytest.raises(ArchiveError, match=told):
        read_archive(path)
    path = archive_with(tmp_path / "x.npz", "x.npy", content, zipfile.ZIP_STORED)
    with pytest.raises(ArchiveError):
        mn.read_npz(path, "x", "x")


def test_archives_that_swell_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """A kilobyte for each megabyte; and one that says it is small and is not."""
    size = 64 * 2**20
    path = archive_with(tmp_path / "bomb.npz", "x.npy", header_of(f"({size // 8},)") + bytes(size))
    assert path.stat().st_size < size / 500
    with pytest.raises(ArchiveError, match=r"would take 64.0 MiB of memory; at most 1.0 MiB are expected"):
        read_archive(path, limit=2**20)
    lying = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = lying.index(signature)
        lying[at + offset : at + offset + 4] = struct.pack("<I", 1000)
    (tmp_path / "lying.npz").write_bytes(bytes(lying))
    with pytest.raises(ArchiveError):
        read_archive(tmp_path / "lying.npz", limit=2**20)


def test_names_lead_nowhere(tmp_path: Path) -> None:
    """Nothing is ever written by the name of a member."""
    path = archive_with(tmp_path / "x.npz", "../../escaped.npy", header_of("(1,)") + bytes(8))
    before = sorted(tmp_path.parent.rglob("*"))
    assert list(read_archive(path)) == ["../../escaped"]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_archive(path, {"a": numpy.random.default_rng(0).standard_normal(100)})
    content = path.read_bytes()
    for bad in (
        content[: len(content) // 2],
        content[:10],
        b"",
        b"PK\x03\x04",
        content.replace(b"PK\x01\x02", b"PK\x01\x03"),
    ):
        path.write_bytes(bad)
        with pytest.raises(ArchiveError):
            read_archive(path)
    flipped = bytearray(content)
    flipped[200] ^= 16
    path.write_bytes(bytes(flipped))
    with pytest.raises(ArchiveError, match="CRC|damaged|whole archive"):
        read_archive(path)
    assert zlib.crc32(content) != zlib.crc32(bytes(flipped))
