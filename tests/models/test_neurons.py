"""Neurons: truth tables, mistakes against the bound, gradients by hand against jax.grad, scikit-learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.models import neurons
from jaxdl.models.neurons import boolean

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
learn = jax.jit(neurons.learn_perceptron, static_argnames="rule")


@pytest.mark.parametrize(
    ("gate", "threshold", "inhibitory", "expected"),
    [
        ("and", 2, None, [0, 0, 0, 1]),
        ("or", 1, None, [0, 1, 1, 1]),
        ("nor", 0, [True, True], [1, 0, 0, 0]),
        ("not the second", 0, [False, True], [1, 0, 1, 0]),
        ("the first and not the second", 1, [False, True], [0, 0, 1, 0]),
        ("always", 0, None, [1, 1, 1, 1]),
    ],
)
def test_threshold_neurons_are_gates(gate, threshold, inhibitory, expected):
    assert neurons.mcculloch_pitts(CORNERS, threshold, inhibitory).tolist() == expected, gate


@pytest.mark.parametrize(("n", "count"), [(1, 4), (2, 14), (3, 104), (4, 1882)])
def test_the_separable_functions_are_counted(n, count):
    assert jax.jit(neurons.separable)(neurons.truth_tables(n)).sum() == count


def test_enumeration_and_perceptron_agree():
    tables = neurons.truth_tables(3)
    learned = jax.jit(boolean._learnable, static_argnums=1)(tables, 3)
    np.testing.assert_array_equal(learned, neurons.separable(tables))


def test_of_two_inputs_all_but_the_exclusive_ors_are_separable():
    tables = neurons.truth_tables(2)
    left = tables[~jax.jit(neurons.separable)(tables)]
    assert left.tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]


def test_separability_is_decided_as_by_linear_programming():
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is the peer")
    x = np.asarray(neurons.boolean_inputs(4))
    planted = (x @ np.random.default_rng(1).normal(size=(4, 20)) > 0.3).T
    tables = np.concatenate([np.random.default_rng(0).integers(0, 2, (20, 16)), planted])

    def feasible(table):
        p = np.asarray(neurons.signed_points(x, table))
        return optimize.linprog(np.zeros(5), -p, -np.ones(16), bounds=(None, None)).status == 0

    decided = jax.jit(neurons.separable)(tables)
    np.testing.assert_array_equal(decided, [feasible(table) for table in tables])
    assert decided[20:].all()
    assert not decided[:20].all()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_network_of_perceptrons_computes_every_boolean_function(n):
    x, tables = neurons.boolean_inputs(n), neurons.truth_tables(n)
    compute = jax.jit(jax.vmap(lambda table: neurons.apply_boolean_network(neurons.boolean_network(table), x)))
    np.testing.assert_array_equal(compute(tables), tables)


def test_exactly_one_hidden_perceptron_fires():
    hidden = neurons.boolean_network(np.zeros(8))["hidden"]
    fired = neurons.boolean_inputs(3) @ hidden["kernel"] + hidden["bias"][None] >= 0
    np.testing.assert_array_equal(fired, np.eye(8))


@pytest.mark.parametrize("rule", ["add", "negated", "scaled"])
def test_every_rule_learns_what_a_line_separates_from_any_start(rule):
    random, w = np.random.default_rng(0), np.float32([0.3, 1.0, -2.0])
    x = random.standard_normal((30, 20, 2), np.float32)
    labels = (w[0] + x @ w[1:] > 0).astype(int)
    starts = random.standard_normal((30, 3), np.float32)
    learn_all = jax.jit(
        jax.vmap(lambda x, y, w: neurons.learn_perceptron(x, y, rule=rule, alpha=0.1, initial=w, max_mistakes=20_000))
    )
    learned = learn_all(x, labels, starts)
    assert learned.converged.all()
    predicted = jax.jit(jax.vmap(neurons.perceptron))(learned.weights, learned.bias, x)
    np.testing.assert_array_equal(predicted, labels)


@pytest.mark.parametrize("rule", ["add", "negated", "scaled"])
def test_the_exclusive_or_ends_with_a_clear_result(rule):
    learned = learn(CORNERS, np.array([0, 1, 1, 0]), rule=rule)
    assert not learned.converged
    assert learned.mistakes == 1000
    assert "not converged" in learned.status()


def test_the_rule_that_adds_is_the_textbooks_loop():
    x = np.random.default_rng(0).integers(-9, 10, (12, 2)).astype(np.float32)
    labels = (x @ [2, -1] > 1.5).astype(int)
    w, mistakes, clean = np.zeros(3), 0, 0
    while clean < len(x):
        for point, label in zip(x, labels, strict=True):
            p = np.append(1, point)
            clean += 1
            if label == 1 and w @ p < 0:
                w, mistakes, clean = w + p, mistakes + 1, 0
            if label == 0 and w @ p >= 0:
                w, mistakes, clean = w - p, mistakes + 1, 0
    learned = learn(x, labels)
    np.testing.assert_array_equal([learned.bias, *learned.weights], w)
    assert learned.mistakes == mistakes


def test_a_learning_rate_scales_the_weights_and_changes_no_decision():
    labels = np.array([0, 0, 0, 1])
    plain, scaled = learn(CORNERS, labels), learn(CORNERS, labels, rule="scaled", alpha=0.25)
    assert plain.mistakes == scaled.mistakes
    np.testing.assert_array_equal(plain.weights * 0.25, scaled.weights)


def test_a_random_order_and_a_mask_still_end_right(key):
    labels = np.array([0, 1, 1, 0])  # without the last point it is OR
    learned = learn(CORNERS, labels, key=key, mask=np.array([1, 1, 1, 0]))
    assert learned.converged
    assert neurons.perceptron(learned.weights, learned.bias, CORNERS)[:3].tolist() == [0, 1, 1]


@pytest.mark.usefixtures("float64")
def test_no_separable_set_of_a_thousand_breaks_the_bound():
    random = np.random.default_rng(0)
    x, w_star = random.normal(size=(1000, 12, 2)), random.normal(size=(1000, 3))
    labels = (np.einsum("sd,snd->sn", w_star[:, 1:], x) + w_star[:, :1] > 0).astype(int)

    @jax.jit
    @jax.vmap
    def prove(x, labels, w_star):
        points = neurons.signed_points(x, labels, normalize=True)
        learned = neurons.learn_perceptron(x, labels, rule="negated", max_mistakes=10_000_000)
        return learned, neurons.mistake_bound(points, w_star), neurons.convergence(x, labels, w_star, 40)

    learned, bound, trace = jax.device_get(prove(x, labels, w_star))
    assert learned.converged.all()
    assert (learned.mistakes <= bound).all()
    assert (trace.cosine >= trace.lower_bound - 1e-12).all()
    assert (learned.mistakes > 1).mean() > 0.5, "the sets must not be trivial"


def test_a_direction_that_does_not_separate_has_no_bound():
    points = neurons.signed_points(CORNERS, np.array([0, 1, 1, 0]), normalize=True)
    assert neurons.mistake_bound(points, jnp.array([0.0, 1.0, 1.0])) == jnp.inf


def test_a_trace_shows_every_correction():
    labels = np.array([0, 0, 0, 1])
    trace = jax.jit(neurons.trace_perceptron, static_argnums=2)(CORNERS, labels, 20)
    learned = learn(CORNERS, labels)
    steps = np.abs(np.diff(trace, axis=0)).sum(1) > 0
    assert steps.sum() == learned.mistakes
    assert steps[: learned.mistakes].all()
    np.testing.assert_array_equal(trace[-1], [learned.bias, *learned.weights])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_gradients_by_hand_are_those_of_jax(loss):
    random, y = np.random.default_rng(0), np.array([0, 1, 1, 0, 1, 0.5])
    x, params = random.normal(size=(6, 3)), {"kernel": random.normal(size=3), "bias": random.normal()}
    ours = jax.jit(partial(neurons.sigmoid_neuron_gradient, loss=loss))(params, x, y)
    expected = jax.jit(jax.grad(partial(neurons.sigmoid_neuron_loss, loss=loss)))(params, x, y)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), ours, expected)


@pytest.mark.usefixtures("float64")
def test_logistic_regression_finds_scikit_learns_coefficients():
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is the peer")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    y = (x @ [1.0, -0.5] + 0.3 + rng.logistic(size=80) > 0).astype(float)
    start = {"kernel": np.zeros(2), "bias": np.zeros(())}
    params, values = jax.jit(neurons.fit_sigmoid_neuron, static_argnames="steps")(
        start, x, y, learning_rate=2, steps=2000
    )
    peer = linear.LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(params["kernel"], peer.coef_[0], rtol=1e-6)
    np.testing.assert_allclose(params["bias"], peer.intercept_[0], rtol=1e-6)
    assert (np.diff(values) <= 1e-12).all()


def test_more_towers_approximate_better():
    x = jnp.linspace(0, 6, 601)

    @partial(jax.jit, static_argnums=0)
    def error(count):
        return jnp.abs(neurons.apply_towers(neurons.towers(jnp.sin, 0.0, 6.0, count), x) - jnp.sin(x)).max()

    few, more, many = error(10), error(40), error(160)
    assert few < 0.32
    assert more < few / 3
    assert many < more / 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: neurons.learn_perceptron(CORNERS, np.zeros(4), rule="hebb"), "got 'hebb'"),
        (lambda: neurons.learn_perceptron(CORNERS, np.zeros(3)), r"got \(4, 2\) and \(3,\)"),
        (lambda: neurons.learn_perceptron(CORNERS, np.zeros(4), initial=np.zeros(2)), r"got \(2,\)"),
        (lambda: neurons.mcculloch_pitts(CORNERS, 1, [True]), r"got \(1,\)"),
        (lambda: neurons.separable(np.zeros(6)), r"got \(6,\)"),
        (lambda: neurons.truth_tables(5), "got 5"),
        (lambda: neurons.towers(jnp.sin, 1.0, 0.0, 3), "got 1.0, 0.0 and 3"),
        (lambda: neurons.sigmoid_neuron_loss({}, CORNERS, np.zeros(4), loss="mse"), "got 'mse'"),
    ],
)
def test_mistakes_are_named_with_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("rule", ["add", "negated"])
def test_points_that_are_not_finite_do_not_converge(bad, rule):
    x, labels = np.array([[0.0, 0], [0, 1], [1, 0], [bad, 1]]), np.array([0.0, 1, 1, 1])
    learn = jax.jit(lambda x, labels, mask=None: neurons.learn_perceptron(x, labels, rule=rule, mask=mask))
    learned = learn(x, labels)
    assert not learned.converged
    assert learned.wrong == 1
    assert np.isfinite(learned.weights).all()
    assert learn(x, labels, np.array([1, 1, 1, 0])).converged
    assert not learn(np.where(np.isfinite(x), x, 2.0), np.array([0, 1, 1, np.nan])).converged


def test_a_neuron_of_nan_gives_nan_and_one_of_bytes_what_their_numbers_give():
    assert np.isnan(neurons.perceptron(np.ones(2), 0.0, np.array([np.nan, 1.0])))
    inputs = np.array([[0, 1], [1, 1]])
    for dtype in (np.uint8, bool, np.float32):
        assert neurons.mcculloch_pitts(inputs.astype(dtype), threshold=2).tolist() == [0, 1]
