"""Attacks against loops in torch with the same weights in float64, and the two sets that they never leave."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import interpret
from tests import peers

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
RNG = np.random.default_rng(0)
B, D, H, K = 4, 6, 8, 3
W1, W2 = RNG.normal(size=(D, H)), RNG.normal(size=(H, K))
X, LABELS = RNG.uniform(size=(B, D)), np.array([0, 2, 1, 1], np.int32)


def logits(x):
    return jnp.tanh(x @ W1.astype(x.dtype)) @ W2.astype(x.dtype)


def torch_pgd(x, labels, sign, epsilon, step_size, steps, norm):
    torch = peers.torch()
    w1, w2, x = map(torch.tensor, (W1, W2, x))
    at = x.clone()
    for _ in range(steps):
        at = at.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(torch.tanh(at @ w1) @ w2, torch.tensor(labels).long(), reduction="sum")
        (g,) = torch.autograd.grad(sign * loss, at)
        with torch.no_grad():
            if norm == "linf":
                delta = (at + step_size * g.sign() - x).clamp(-epsilon, epsilon)
            else:
                delta = at + step_size * g / g.norm(dim=1, keepdim=True) - x
                delta = delta * (epsilon / delta.norm(dim=1, keepdim=True)).clamp(max=1)
            at = (x + delta).clamp(0, 1)
    return at.numpy()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks_equal_loops_in_torch(norm):
    @jax.jit
    def attack(x):
        away, towards = (make(logits, LABELS) for make in (interpret.untargeted_loss, interpret.targeted_loss))
        return (
            interpret.pgd(away, x, 0.3, 0.1, 7, norm),
            interpret.pgd(towards, x, 0.3, 0.1, 7, norm),
        )

    away, towards = attack(X)
    close(away, torch_pgd(X, LABELS, 1, 0.3, 0.1, 7, norm))
    close(towards, torch_pgd(X, LABELS, -1, 0.3, 0.1, 7, norm))


@partial(jax.jit, static_argnames=("norm", "dtype"))
def attack_from(x, scale, epsilon, step_size, key, norm, dtype):
    x = x.astype(dtype)
    away = interpret.untargeted_loss(logits, LABELS)
    return x, interpret.pgd(lambda at: scale * away(at), x, epsilon, step_size, 5, norm, bounds=(-1.0, 2.0), key=key)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    epsilon=st.floats(0, 4),
    step_size=st.floats(0, 8),
    scale=st.sampled_from([1.0, 1e-30, 1e30, float("inf"), float("nan")]),
    kind=st.sampled_from([("linf", "float32"), ("l2", "float16")]),
)
def test_pgd_leaves_neither_the_ball_nor_the_range_of_pixels(seed, epsilon, step_size, scale, kind):
    norm, dtype = kind
    x = np.random.default_rng(seed).uniform(-1, 2, (B, D)).astype(np.float32)
    x[0] = np.round(x[0])  # on the borders
    key = jax.random.wrap_key_data(np.array([0, seed], np.uint32))
    x, found = attack_from(x, np.float32(scale), np.float32(epsilon), np.float32(step_size), key, norm, dtype)
    x, found = np.asarray(x, np.float64), np.asarray(found, np.float64)
    assert found.min() >= -1
    assert found.max() <= 2
    change = found - x
    size = np.abs(change) if norm == "linf" else np.linalg.norm(change, axis=1)
    assert size.max() <= epsilon + {"float32": 1e-6, "float16": 4e-3}[dtype]  # rounding of x + epsilon


def test_fgsm_is_one_step():
    slope = np.array([[2.0, -3.0, 0.0]], np.float32)
    found = interpret.fgsm(lambda x: jnp.sum(slope * x, axis=-1), np.array([[0.5, 0.5, 0.5], [0.9, 0.1, 1.0]]), 0.2)
    close(found, [[0.7, 0.3, 0.5], [1.0, 0.0, 1.0]], rtol=1e-6)


def test_the_random_start_is_uniform_in_the_ball():
    x = np.zeros((400, 3), np.float32)
    flat = jax.jit(
        lambda key, norm: interpret.pgd(lambda x: 0 * jnp.sum(x, -1), x, 1.0, 0.0, 1, norm, bounds=None, key=key),
        static_argnums=1,
    )
    for norm in ("linf", "l2"):
        start = np.asarray(flat(jax.random.key(1), norm))
        radii = np.abs(start).max(axis=1) if norm == "linf" else np.linalg.norm(start, axis=1)
        assert radii.max() <= 1
        assert abs(np.mean(radii**3) - 0.5) < 0.06  # the volume within a radius is uniform
        assert np.abs(start.mean(axis=0)).max() < 0.1


def test_fooling_images_reach_their_targets():
    targets = np.array([0, 1, 2, 1])
    fool = jax.jit(lambda key: interpret.fooling_images(logits, targets, (D,), key, step_size=0.3, steps=30))
    images = fool(jax.random.key(0))
    scores = logits(images)
    assert images.min() >= 0
    assert images.max() <= 1
    assert interpret.targeted_success_rate(scores, targets) == 1
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    close(interpret.confidence(scores), probabilities[np.arange(B), targets], rtol=1e-5)


def test_success_counts_only_what_was_right():
    clean = np.eye(3)[[0, 1, 2, 0]]
    after = np.eye(3)[[1, 1, 0, 1]]
    assert interpret.success_rate(clean, after, np.array([0, 1, 2, 1])) == np.float32(2 / 3)
    assert np.isnan(interpret.success_rate(clean, after, np.array([1, 2, 0, 1])))
    assert interpret.targeted_success_rate(after, np.array([1, 0, 0, 1]), mask=np.array([1, 1, 0, 0])) == 0.5


def test_integers_and_empty_batches_and_vmap_over_radii():
    away = interpret.untargeted_loss(logits, np.zeros(0, int))
    assert interpret.pgd(away, np.zeros((0, D), np.float32), 0.1, 0.1, 1).shape == (0, D)
    assert interpret.fgsm(jnp.sum, np.zeros((1, D), np.uint8), np.float64(0.5)).tolist() == [[0.5] * D]
    sums = jax.vmap(lambda e: interpret.fgsm(lambda x: jnp.sum(x, -1), np.zeros((1, 2)), e))(np.array([0.1, 0.5]))
    close(sums, [[[0.1, 0.1]], [[0.5, 0.5]]], rtol=1e-6)


def test_a_loss_of_one_number_makes_a_single_example():
    image, slope = np.zeros((2, 2), np.float32), np.array([[1.0, 2.0], [0.0, 2.0]], np.float32)
    found = interpret.pgd(lambda x: jnp.sum(slope * x), image, 0.5, 0.5, 2, "l2")
    close(found, slope / 6, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epsilon": -0.1}, "got -0.1"),
        ({"epsilon": np.nan}, "got nan"),
        ({"step_size": -1.0}, "got -1"),
        ({"steps": 0}, "got 0"),
        ({"norm": "l1"}, "got 'l1'"),
        ({"x": X + 1}, "got values from 1.*bounds="),
        ({"x": np.full((1, D), np.nan)}, "got values from nan"),
        ({"bounds": (1.0, 0.0)}, r"got \(1.0, 0.0\)"),
        ({"loss": logits}, r"got \(4, 3\)"),
        ({"loss": interpret.untargeted_loss(logits, np.array([0, 1, 3, 1]))}, "got 3"),
        ({"loss": interpret.targeted_loss(logits, np.array([0, 1]))}, r"\[2\]"),
    ],
)
def test_bad_input(change, match):
    arguments = {"loss": lambda x: jnp.sum(x, -1), "x": X, "epsilon": 0.1, "step_size": 0.1, "steps": 1}
    with pytest.raises(ValueError, match=match):
        interpret.pgd(**{**arguments, **change})


def test_a_loss_that_returns_no_array():
    with pytest.raises(ValueError, match=r"got \{'loss': "):
        interpret.fgsm(lambda x: {"loss": x}, X, 0.1)
