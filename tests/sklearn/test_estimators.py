"""scikit-learn's own checks, its pipelines and searches, and that an estimator is the training it says it is."""

import tracemalloc
from typing import Any

import numpy
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

import manifoldnet as mn
from manifoldnet.errors import DeclarationError
from manifoldnet.learning.train import train
from manifoldnet.sklearn import ManifoldNetClassifier, ManifoldNetRegressor

# what their own environment lacks: pandas, and a switch of the environment
NOT_RUN_HERE = {
    "check_array_api_input",
    "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array",
}


def everything_passed(estimator: Any) -> None:
    outcomes = check_estimator(estimator, on_skip=None)
    assert len(outcomes) > 50
    assert {found["check_name"] for found in outcomes if found["status"] != "passed"} <= NOT_RUN_HERE


@pytest.mark.parametrize(
    "estimator",
    [
        ManifoldNetClassifier(steps=60),
        ManifoldNetClassifier(16, mn.softplus, metric="unitwise-natural", steps=30, batch=20),
        ManifoldNetRegressor(steps=60),
        ManifoldNetRegressor(interpretation=mn.Gaussian(), metric=mn.Backpropagated(), steps=60),
    ],
    ids=["classifier", "minibatches", "regressor", "gaussian"],
)
def test_scikit_learns_own_checks(estimator: Any) -> None:
    everything_passed(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ManifoldNetClassifier, ManifoldNetRegressor])
def test_scikit_learns_own_checks_on_the_defaults(kind: Any) -> None:
    everything_passed(kind())


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric", ["natural", "monte-carlo-natural", "quasi-diagonal-outer-product", "adagrad", "euclidean"]
)
def test_scikit_learns_own_checks_with_other_metrics(metric: str) -> None:
    everything_passed(ManifoldNetClassifier(metric=metric, steps=200, early_stopping=True))


def test_an_estimator_is_the_training_that_it_says() -> None:
    """The same descent by hand, on columns standardised by hand."""
    X, y = load_iris(return_X_y=True)
    model = ManifoldNetClassifier(5, metric="natural", damping="intrinsic:0.1", steps=40, random_state=4).fit(X, y)
    net = mn.Network("by hand")
    h = net.layer("h1", size=5, map=mn.Affine(mn.tanh), parents=[net.input("x", size=4)])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h])])
    program, rng = mn.compile(net), numpy.random.default_rng(numpy.random.RandomState(4).randint(2**31 - 1))
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    schedule = mn.FullBatch(steps=40, damping=mn.Intrinsic(0.1))
    start = program.initialize(rng)
    trained = train(program, start, mn.Dataset(Z, y), mn.Natural(), schedule, rng)
    assert numpy.array_equal(trained.theta.flat, model.theta_.flat)
    assert numpy.array_equal(model.predict_proba(X), program.output(trained.theta, Z))
    assert model.n_iter_ == 40 and model.history_.last.loss < 0.3


def test_pipelines_and_searches() -> None:
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(MinMaxScaler(), ManifoldNetClassifier(8, steps=40, random_state=0))
    grid = {
        "manifoldnetclassifier__metric": ["euclidean", mn.UnitwiseNatural()],
        "manifoldnetclassifier__hidden": [4, (4, 4)],
    }
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    assert search.cv_results_["mean_test_score"].min() > 0.9
    assert search.best_estimator_[-1].n_iter_ == 40


def petals(link: mn.Link = mn.tanh) -> mn.Network:
    """Petals on an interval, sparsely wired."""
    net = mn.Network("petals")
    x = net.input("x", size=4, manifold=mn.Interval(0, 10))
    h = net.layer("h", size=6, map=mn.Affine(link), parents=[x], wiring=mn.fan_in(3))
    net.interpret(mn.Spherical(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h, x])])
    return net


def test_any_network() -> None:
    X, y = load_iris(return_X_y=True)
    model = ManifoldNetClassifier(network=petals(), metric="unitwise-natural", steps=200, random_state=0)
    assert cross_val_score(model, X, y, cv=2, error_score="raise").min() > 0.9
    assert clone(model).network is not model.network


@pytest.mark.slow
def test_in_other_processes() -> None:
    X, y = load_iris(return_X_y=True)
    model = ManifoldNetClassifier(network=petals(), steps=50, random_state=0)
    here = cross_val_score(model, X, y, cv=2, error_score="raise")
    there = cross_val_score(model, X, y, cv=2, error_score="raise", n_jobs=2)
    assert here.tolist() == there.tolist()


def test_two_classes_by_one_bernoulli_unit() -> None:
    X, y = load_iris(return_X_y=True)
    net = mn.Network("two")
    net.interpret(mn.Bernoulli(), [net.layer("y", 1, mn.Affine(mn.logistic), [net.input("x", size=4)])])
    names = numpy.array(["setosa", "other"])[(y != 0).astype(int)]
    model = ManifoldNetClassifier(network=net, steps=150, random_state=0).fit(X, names)
    assert model.classes_.tolist() == ["other", "setosa"]
    assert model.score(X, names) == 1.0
    assert numpy.allclose(model.predict_proba(X).sum(axis=1), 1.0)
    with pytest.raises(DeclarationError, match="a Bernoulli output of 1 units does not tell 3 classes apart"):
        model.fit(X, y)


def test_points_of_a_sphere_are_columns_side_by_side() -> None:
    points = numpy.random.default_rng(0).standard_normal((60, 2, 3))
    points /= numpy.linalg.norm(points, axis=2, keepdims=True)
    net = mn.Network("sphere")
    x, b = net.input("x", size=2, manifold=mn.Sphere(2)), net.input("b", size=1)
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[x, b])])
    X = numpy.concatenate([points.reshape(60, 6), numpy.arange(60.0)[:, None]], axis=1)
    y = points[:, 0, 2] - 2.0 * points[:, 1, 0] + 0.1 * X[:, 6]
    model = ManifoldNetRegressor(network=net, metric="natural", damping=None, rate=1.0, steps=20).fit(X, y)
    assert model.score(X, y) > 1.0 - 1e-12


def test_a_linear_network_is_least_squares_whatever_the_units_of_its_columns() -> None:
    X, y = make_regression(80, 3, n_targets=2, noise=5.0, random_state=0)
    X, y = X * [1e-3, 1.0, 1e4] + [5.0, 0.0, 1e3], y * 1e3
    model = ManifoldNetRegressor(hidden=(), metric="natural", damping=None, rate=1.0, steps=60).fit(X, y)
    # LinearRegression itself drops the first column of X as it stands: it is 1e-7 of the last one
    line = LinearRegression().fit(X / X.std(axis=0), y)
    assert numpy.allclose(model.predict(X), line.predict(X / X.std(axis=0)), rtol=1e-8)
    assert model.predict(X).shape == (80, 2) and model.predict(X[:1]).shape == (1, 2)


def test_standard_deviations() -> None:
    """Two groups, each with its own mean and deviation: the likeliest ones are those of the samples."""
    rng, X = numpy.random.default_rng(0), numpy.repeat([[0.0], [1.0]], 100, axis=0)
    y = rng.standard_normal(200) * (1.0 + 4.0 * X[:, 0]) + 100.0 * X[:, 0]
    options = {"metric": "natural", "damping": "tikhonov:1e-12", "rate": 0.5, "steps": 60, "random_state": 0}
    model = ManifoldNetRegressor((), interpretation=mn.HeteroscedasticGaussian(), **options).fit(X, y)
    mean, deviation = model.predict([[0.0], [1.0]], return_std=True)
    assert numpy.allclose(mean, [y[:100].mean(), y[100:].mean()], rtol=1e-6)
    assert numpy.allclose(deviation, [y[:100].std(), y[100:].std()], rtol=1e-6)
    model = ManifoldNetRegressor((), interpretation=mn.Gaussian(), **options).fit(X, y)
    assert numpy.allclose(model.predict(X, return_std=True)[1], (y - model.predict(X)).std(), rtol=1e-6)
    with pytest.raises(DeclarationError, match="gives no standard deviations"):
        ManifoldNetRegressor(steps=1).fit(X, y).predict(X, return_std=True)


def test_early_stopping_keeps_the_best_parameters_on_held_out_samples() -> None:
    X, y = make_regression(60, 10, noise=50.0, random_state=0)
    model = ManifoldNetRegressor(30, early_stopping=True, steps=400, patience=3, random_state=0).fit(X, y)
    validation = model.history_.column("validation_loss")
    assert model.n_iter_ < 400
    assert numpy.nanargmin(validation) < model.n_iter_ - 3


def test_one_online_step_on_every_sample() -> None:
    X, y = load_iris(return_X_y=True)
    order = numpy.random.default_rng(0).permutation(len(X))
    model = ManifoldNetClassifier(8, random_state=0)
    with pytest.raises(ValueError, match="takes all classes="):
        model.partial_fit(X, y)
    losses = []
    for _ in range(3):
        for part in numpy.array_split(order, 3):
            model.partial_fit(X[part], y[part], classes=[0, 1, 2])
        losses.append(model.program_.loss(model.theta_, model._inputs(X), y))
    assert model.n_iter_ == 3 * 150 and losses[0] < 0.5 and losses[-1] < losses[0]
    assert model.score(X, y) > 0.93 and [record.step for record in model.history_.records] == [450]
    with pytest.raises(ValueError, match="classes \\[3\\] that are not among"):
        model.partial_fit(X[:1], [3])


def test_calls_of_partial_fit_are_one_run_of_the_online_method() -> None:
    """Of a step and what it needs of the past: two calls of one sample each are the formulas of section 1.3."""
    X, y = load_iris(return_X_y=True)
    options = {"metric": "unitwise-natural", "damping": "tikhonov:0.1", "rate": 0.1, "random_state": 0}
    model = ManifoldNetClassifier((), **options).partial_fit(X[::3], y[::3], classes=[0, 1, 2])
    theta, program, estimate = model.theta_, model.program_, model._state.estimate
    model.partial_fit(X[1:2], y[1:2])
    gamma = 0.1 / 5
    here = program.at(theta, model._inputs(X[1:2]), y[1:2])
    old = numpy.zeros((15, 15))
    for unit, block in enumerate(estimate.inverse.blocks[0]):
        old[5 * unit : 5 * unit + 5, 5 * unit : 5 * unit + 5] = block
    # what a damping adds to the inverse that is kept fades with it, until it is measured anew
    now = (1 - gamma) * (old + 0.1 * numpy.eye(15)) + gamma * here.metric(mn.UnitwiseNatural()).as_matrix()
    step = numpy.linalg.solve(now, here.differential().flat)
    moved = model.theta_.flat - theta.flat
    # along that direction, as far as rate and radius let it
    assert numpy.allclose(moved / numpy.linalg.norm(moved), -step / numpy.linalg.norm(step), atol=1e-8)


def test_an_online_pass_takes_no_more_memory_for_more_samples() -> None:
    """Every step has a metric of its own, 0.3 MB here: only the last is kept."""
    X = numpy.random.default_rng(0).standard_normal((240, 60))
    model = ManifoldNetClassifier(10, metric="unitwise-natural", random_state=0)
    model.partial_fit(X, X[:, 0] > 0, classes=[False, True])
    tracemalloc.start()
    try:
        model.partial_fit(X, X[:, 0] > 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model._state.estimate.inverse.blocks[0].nbytes > 250_000
    assert peak < 10_000_000


def test_mistakes_are_told() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(NotFittedError):
        _ = ManifoldNetClassifier().program_
    with pytest.raises(ValueError, match="no metric is named 'newton'"):
        ManifoldNetClassifier(metric="newton").fit(X, y)
    with pytest.raises(ValueError, match='batch= takes a number of samples, "all" or None'):
        ManifoldNetClassifier(batch="half").fit(X, y)
    with pytest.raises(ValueError, match="y has one class: 0"):
        ManifoldNetClassifier().fit(X[:5], y[:5])
    with pytest.raises(DeclarationError, match="reads 4 numbers a sample, but X has 3 features"):
        ManifoldNetClassifier(network=petals()).fit(X[:, :3], y)
    with pytest.raises(DeclarationError, match="expected probabilities of 2 classes: declare mn.Softmax\\(\\) on 2"):
        ManifoldNetClassifier(network=petals()).fit(X, y > 0)
