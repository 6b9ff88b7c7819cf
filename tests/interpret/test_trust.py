"""Tests of attribution maps against scipy, captum and plain loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxdl import interpret
from tests import peers

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
RNG = np.random.default_rng(0)
B, D, S = 3, 5, 12
W = RNG.normal(size=(D, 4))
X, A = RNG.normal(size=(B, D)), RNG.normal(size=(B, D))


def f(x):
    return jnp.sum(jnp.tanh(x @ W), axis=-1)


def test_rank_correlation_is_spearmans():
    a = RNG.integers(0, 6, size=(6, 20)).astype(float)  # with ties
    b = a + RNG.integers(-2, 3, size=a.shape)
    a[4], b[5, 3] = 1.0, np.nan  # constant, and undefined
    found = jax.jit(interpret.rank_correlation)(a.reshape(6, 4, 5), b.reshape(6, 4, 5))
    close(found[:4], [stats.spearmanr(x, y)[0] for x, y in zip(a[:4], b[:4], strict=True)])
    assert np.isnan(found[4:]).all()


def test_structural_similarity_by_uniform_filters():
    a, b = RNG.uniform(size=(2, B, 11, 12))
    a[0], b[1] = b[0], 1 - a[1]

    def mean(x):
        return ndimage.uniform_filter(x, 5)[2:-2, 2:-2]

    def expected(x, y):
        x, y = (x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)
        mx, my, n = mean(x), mean(y), 25 / 24
        vx, vy, cov = n * (mean(x * x) - mx**2), n * (mean(y * y) - my**2), n * (mean(x * y) - mx * my)
        return np.mean((2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))

    found = jax.jit(partial(interpret.structural_similarity, window=5))(a, b)
    close(found, [expected(x, y) for x, y in zip(a, b, strict=True)])
    close(found[0], 1)
    assert found[1] < 0
    close(interpret.structural_similarity(np.ones((1, 7, 7, 2)), np.zeros((1, 7, 7, 2))), [1])


def test_infidelity_and_sensitivity_are_those_of_captum():
    torch, metrics = peers.torch(), pytest.importorskip("captum.metrics", reason="parity with captum")
    changes = 0.1 * RNG.normal(size=(S, B, D))
    w, x, a = map(torch.tensor, (W, X, A))

    def forward(x):
        return torch.tanh(x @ w).sum(-1)

    def noise(x):  # captum repeats every example S times
        change = torch.tensor(changes).transpose(0, 1).reshape(S * B, D)
        return change, x - change

    found = jax.jit(partial(interpret.infidelity, f))(X, A, changes)
    close(found, metrics.infidelity(forward, noise, x, a, n_perturb_samples=S).numpy())

    def saliency(inputs):  # captum gives a tuple
        x = inputs[0].detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(forward(x).sum(), x)

    found = jax.jit(partial(interpret.max_sensitivity, jax.grad(lambda x: jnp.sum(f(x)))))(X, -changes)
    expected = metrics.sensitivity_max(saliency, x, lambda x: noise(x)[1:], n_perturb_samples=S)
    close(found, expected.numpy())


def test_sensitivity_n_by_a_loop():
    draw = jax.jit(partial(interpret.random_subsets, shape=(D,), n=2, count=S))
    subsets = np.asarray(draw(jax.random.key(0)))
    assert (subsets.sum(axis=1) == 2).all()
    assert len(np.unique(subsets, axis=0)) > 5
    found = jax.jit(partial(interpret.sensitivity_n, f))(X, A, subsets, 0.3)
    for x, a, value in zip(X, A, found, strict=True):
        sums = [a[s].sum() for s in subsets]
        effects = [np.sum(np.tanh(x @ W) - np.tanh(np.where(s, 0.3, x) @ W)) for s in subsets]
        close(value, np.corrcoef(sums, effects)[0, 1])
    linear = W[:, 0]
    close(interpret.sensitivity_n(lambda x: x @ linear, X, X * linear, subsets), np.ones(B))


def test_the_area_under_a_curve_is_numpys():
    scores = RNG.normal(size=(9, B))
    close(interpret.curve_area(scores), np.trapezoid(scores, dx=1 / 8, axis=0))
    with pytest.raises(ValueError, match=r"got \(1, 3\)"):
        interpret.curve_area(scores[:1])


def test_cascading_replaces_more_and_more_and_independent_one():
    params = {"a": {"kernel": np.arange(3.0)}, "b": {"kernel": np.arange(3.0)}, "c": {"kernel": np.ones(3)}}
    fresh = {name: {"kernel": 10.0 + leaf["kernel"]} for name, leaf in params.items()}

    def seen(params):
        return jnp.stack([params[name]["kernel"] for name in "abc"])

    def replaced(maps, trained):
        return jnp.sum(maps - trained, axis=-1) / 30

    layers = ["^c/", "^b/", "a/kernel"]
    found = interpret.cascading_randomization(seen, params, fresh, layers, replaced)
    assert {name: value.tolist() for name, value in found.items()} == {
        "^c/": [0, 0, 1],
        "^b/": [0, 1, 1],
        "a/kernel": [1, 1, 1],
    }
    found = interpret.independent_randomization(seen, params, fresh, layers, replaced)
    assert np.array_equal(np.stack(list(found.values())), np.eye(3)[::-1])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: interpret.infidelity(f, X, A[:2], A[None]), r"got \(2, 5\)"),
        (lambda: interpret.infidelity(f, X, A, A), r"got \(3, 5\)"),
        (lambda: interpret.infidelity(jnp.sum, X, A, A[None]), r"got \(\)"),
        (lambda: interpret.infidelity(lambda x: x, X, A, A[None]), r"got \(3, 5\)"),
        (lambda: interpret.max_sensitivity(lambda x: x, X, A), r"got \(3, 5\)"),
        (lambda: interpret.sensitivity_n(f, X, A, np.ones((4, 2))), r"got \(4, 2\)"),
        (lambda: interpret.random_subsets(jax.random.key(0), (2, 3), n=7, count=1), "got 7"),
        (lambda: interpret.rank_correlation(X, A[:2]), r"got .*\(2, 5\)"),
        (lambda: interpret.structural_similarity(X, A), r"got \(3, 5\)"),
        (lambda: interpret.structural_similarity(np.zeros((1, 4, 9)), np.zeros((1, 4, 9))), "got 7"),
        (lambda: interpret.cascading_randomization(jnp.sum, {"a": X}, {"a": X}, ["b"]), "got 'b'"),
        (lambda: interpret.cascading_randomization(jnp.sum, {"a": X}, {"b": X}, ["a"]), "got PyTreeDef"),
        (lambda: interpret.independent_randomization(jnp.sum, {"a": X}, {"a": X}, []), "got none"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_there_may_be_no_examples():
    x, total = jnp.zeros((0, 4)), lambda x: jnp.sum(x, axis=1)
    assert interpret.rank_correlation(x, x).shape == (0,)
    assert interpret.infidelity(total, x, x, jnp.zeros((2, 0, 4))).shape == (0,)
    assert interpret.max_sensitivity(lambda x: x, x, jnp.zeros((2, 0, 4))).shape == (0,)
    assert interpret.sensitivity_n(total, x, x, np.eye(4) > 0).shape == (0,)
    assert interpret.deletion_curve(total, x, x, steps=2).shape == (3, 0)
