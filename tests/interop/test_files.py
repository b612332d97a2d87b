"""Parameters, histories and tensors as others have them, and back."""

import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy
import pytest
import scipy.sparse.linalg

import manifoldnet as mn
from manifoldnet.errors import DataError
from manifoldnet.interop.histories import read_history, to_records, write_history
from manifoldnet.interop.parameters import read_parameters, write_parameters
from manifoldnet.learning.history import History, Record
from tests.oracles.networks import Case, cases

numbers = st.floats(allow_nan=False)
scores = st.none() | numbers
troubles = st.none() | st.text(st.characters(exclude_categories=["C"]), min_size=1)
records = st.builds(Record, st.integers(1, 10**9), numbers, numbers, numbers, st.booleans(), scores, scores, troubles)
in_one_folder = hypothesis.settings(
    max_examples=20, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


@in_one_folder
@hypothesis.given(case=cases())
def test_parameters_of_any_network(case: Case, tmp_path: Path) -> None:
    path = write_parameters(tmp_path / "theta.npz", case.theta, {"steps": 3})
    found = read_parameters(path, case.program)
    assert numpy.array_equal(found.theta.flat, case.theta.flat)
    assert found.about["steps"] == 3
    with numpy.load(path, allow_pickle=False) as archive:
        for place in case.theta.layout:
            assert numpy.array_equal(archive[place.name], case.theta[place.name])


def wired(links: list[list[int]]) -> mn.Program:
    net = mn.Network("wired")
    h = net.layer("h", size=len(links), map=mn.Affine(mn.tanh), parents=[net.input("x", size=4)], wiring=links)
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[h])])
    return mn.compile(net)


RAGGED = [[1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]]


def test_parameters_of_another_network_are_refused(tmp_path: Path) -> None:
    program = wired(RAGGED)
    path = write_parameters(tmp_path / "theta.npz", program.initialize(numpy.random.default_rng(0)))
    with pytest.raises(DataError, match="the units of 'h' have other numbers of parameters than here: their wiring"):
        read_parameters(path, wired(RAGGED[::-1]))
    with pytest.raises(DataError, match=r"'h' holds float64 of shape \(3, 4\), expected numbers of shape \(2, 4\)"):
        read_parameters(path, wired(RAGGED[:2]))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_files_that_are_no_archives(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "theta.npz").write_bytes(content)
    with pytest.raises(DataError, match="is no whole archive of arrays"):
        read_parameters(tmp_path / "theta.npz", wired(RAGGED))


def test_archives_of_others(tmp_path: Path) -> None:
    program = wired(RAGGED)
    place = program.layout["h"]
    numpy.savez(tmp_path / "theta.npz", h=numpy.ones(place.mask.shape), y=[[1, 2, 3, 4]])
    assert read_parameters(tmp_path / "theta.npz", program).theta.flat.tolist() == [1.0] * place.stop + [1, 2, 3, 4]
    numpy.savez(tmp_path / "theta.npz", h=numpy.ones(place.mask.shape))
    with pytest.raises(DataError, match="holds the parameters of h; expected those of h, y"):
        read_parameters(tmp_path / "theta.npz", program)
    numpy.savez(tmp_path / "theta.npz", h=numpy.full(place.mask.shape, numpy.nan), y=[[1, 2, 3, 4]])
    with pytest.raises(DataError, match="'h' holds numbers that are not finite"):
        read_parameters(tmp_path / "theta.npz", program)


@in_one_folder
@hypothesis.given(kept=st.lists(records, max_size=5))
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_histories(kept: list[Record], suffix: str, tmp_path: Path) -> None:
    path = write_history(History(tuple(kept)), tmp_path / f"history{suffix}")
    assert read_history(path) == History(tuple(kept))
    if suffix == ".json":
        assert [row["step"] for row in json.loads(path.read_text())] == [record.step for record in kept]


def test_records_are_columns_with_names(tmp_path: Path) -> None:
    history = History((Record(1, 2.5, 0.1, 0.01), Record(2, 1.5, 0.11, 0.02, False, float("inf"), 0.9)))
    path = write_history(history, tmp_path / "history.csv")
    assert path.read_text().splitlines() == [
        "step,loss,rate,seconds,accepted,validation_loss,accuracy,trouble,remark",
        "1,2.5,0.1,0.01,True,,,,",
        "2,1.5,0.11,0.02,False,inf,0.9,,",
    ]
    assert to_records(history)[1]["accuracy"] == 0.9


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h.csv", "step,loss\n1,2\n", "record 1 lacks one of step, loss, rate, seconds"),
        ("h.csv", "step,loss,rate,seconds\n1,2,3,4\none,2,3,4\n", "record 2 cannot be read: .*'one'"),
        ("h.json", '[{"step": 1, "loss": 1, "rate": 1, "seconds": 1, "accepted": "no"}]', "accepted is true or false"),
        ("h.json", "{", "is not JSON"),
        ("h.json", "{}", "holds no list of records"),
        ("h.txt", "", "must end in .csv or .json"),
    ],
)
def test_files_that_are_no_histories(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_history(tmp_path / name)


@hypothesis.settings(max_examples=10)
@hypothesis.given(cases())
def test_tensors_are_arrays_and_operators(case: Case) -> None:
    for rule in (mn.Backpropagated(), mn.QuasiDiagonal(mn.UnitwiseNatural()), mn.Natural(), mn.Euclidean()):
        tensor = case.program.metric(rule, case.theta, case.inputs)
        matrix, operator = numpy.asarray(tensor), tensor.as_linear_operator()
        assert isinstance(operator, scipy.sparse.linalg.LinearOperator)
        assert numpy.array_equal(matrix, tensor.as_matrix())
        columns = case.rng(9).standard_normal((tensor.size, 3))
        assert numpy.allclose(operator @ columns, matrix @ columns, rtol=1e-9, atol=1e-9 * abs(matrix).max())
        assert numpy.allclose(
            operator.H @ columns[:, 0], matrix @ columns[:, 0], rtol=1e-9, atol=1e-9 * abs(matrix).max()
        )


def test_scipy_solves_what_a_tensor_solves() -> None:
    program = wired(RAGGED)
    rng = numpy.random.default_rng(0)
    theta, inputs = program.initialize(rng), rng.standard_normal((30, 4))
    tensor = program.metric(mn.Natural(), theta, inputs).plus(program.metric(mn.Euclidean(), theta, inputs))
    covector = program.differential(theta, inputs, numpy.ones((30, 1)))
    found, failed = scipy.sparse.linalg.cg(tensor.as_linear_operator(), covector.flat, rtol=1e-12)
    assert failed == 0 and numpy.allclose(found, tensor.solve(covector), rtol=1e-8)
