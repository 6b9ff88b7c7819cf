"""Normalisation against torch: values, gradients and running statistics in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import normalization as norm

SHAPE = (4, 3, 2, 6)  # [B, H, W, C]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is the peer")


@pytest.fixture
def arrays():
    """An input with a mean far from 0, a scale, a bias and a cotangent."""
    rng = np.random.default_rng(0)
    x = 3 + 2 * rng.normal(size=SHAPE)
    return x, rng.normal(size=6), rng.normal(size=6), rng.normal(size=SHAPE)


def channels_first(x):
    import torch

    return torch.tensor(np.moveaxis(x, -1, 1).copy())


def peer_gradients(torch, function, x, scale, bias, cotangent, first=True):
    """Run a torch function and pull a cotangent back."""
    place = channels_first if first else torch.tensor
    leaves = [place(x), torch.tensor(scale), torch.tensor(bias)]
    for leaf in leaves:
        leaf.requires_grad_()
    out = function(*leaves)
    out.backward(place(cotangent))
    back = (lambda t: np.moveaxis(t.detach().numpy(), 1, -1)) if first else (lambda t: t.detach().numpy())
    return back(out), [back(leaves[0].grad), leaves[1].grad.numpy(), leaves[2].grad.numpy()]


def pulled_back(function):
    """Compile a function of (x, scale, bias) with the gradient of its product with a cotangent."""

    @jax.jit
    def run(x, scale, bias, cotangent):
        y, pull = jax.vjp(function, x, scale, bias)
        return y, pull(cotangent)

    return run


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_root_mean_square_norm_is_torchs(torch, arrays, dimensions):
    x, cotangent = arrays[0], arrays[3]
    shape = x.shape[-dimensions:]
    scale = np.random.default_rng(1).normal(size=shape)
    peer = torch.nn.RMSNorm(shape, eps=0.1).double()
    peer.weight.data = torch.tensor(scale)
    leaf = torch.tensor(x, requires_grad=True)
    expected = peer(leaf)
    expected.backward(torch.tensor(cotangent))
    layer = norm.RMSNorm(epsilon=0.1, dimensions=dimensions)
    run = pulled_back(lambda x, scale, _: layer.apply({"params": {"scale": scale}}, x))
    value, gradients = run(x, scale, 0.0, cotangent)
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-12)
    np.testing.assert_allclose(gradients[0], leaf.grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradients[1], peer.weight.grad, rtol=1e-10, atol=1e-12)
    plain = np.asarray(norm.rms_norm(x, dimensions=dimensions, epsilon=0.1))
    np.testing.assert_allclose(plain * scale, value, rtol=1e-12)
    half = norm.rms_norm(jnp.full(4, 300.0, jnp.float16))  # whose square is beyond float16
    assert half.tolist() == [1.0] * 4
    assert norm.rms_norm(np.array([3, 3])).dtype == jnp.result_type(float)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["batch", "batch in two passes", "instance", "group", "layer"])
def test_values_and_gradients_are_torchs(torch, arrays, name):
    functional = torch.nn.functional
    ours, theirs = {
        "batch": (
            lambda *args: norm.batch_norm(*args)[0],
            lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        ),
        "batch in two passes": (
            lambda *args: norm.batch_norm(*args, fast_variance=False)[0],
            lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        ),
        "instance": (norm.instance_norm, lambda x, w, b: functional.instance_norm(x, weight=w, bias=b)),
        "group": (lambda x, w, b: norm.group_norm(x, 3, w, b), lambda x, w, b: functional.group_norm(x, 3, w, b)),
        "layer": (norm.layer_norm, lambda x, w, b: functional.layer_norm(x, (6,), w, b)),
    }[name]
    value, gradients = pulled_back(ours)(*arrays)
    expected, slopes = peer_gradients(torch, theirs, *arrays, first=name != "layer")
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)
    for gradient, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [5, 4])
def test_local_response_norm_is_torchs(torch, arrays, size):
    x, *_ = arrays
    ours = jax.jit(partial(norm.local_response_norm, size=size, alpha=0.3, k=1.5, average=True))(x)
    theirs = torch.nn.functional.local_response_norm(channels_first(x), size, alpha=0.3, k=1.5)
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), rtol=1e-12)


def test_local_response_norm_is_the_papers():
    x = np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32)
    expected = np.empty_like(x)
    for c in range(7):
        expected[:, c] = x[:, c] / (2 + 1e-4 * (x[:, max(0, c - 2) : c + 3] ** 2).sum(1)) ** 0.75
    np.testing.assert_allclose(jax.jit(norm.local_response_norm)(x), expected, rtol=1e-6)


@pytest.mark.usefixtures("float64")
def test_running_statistics_are_torchs_over_several_steps(torch, key):
    batches = 2 + np.random.default_rng(1).normal(size=(3, *SHAPE))
    module, peer = norm.BatchNorm(param_dtype=jnp.float64), torch.nn.BatchNorm2d(6, dtype=torch.float64)
    variables = jax.jit(partial(module.init, train=True))(key, batches[0])
    assert not variables["batch_stats"]["mean"].any(), "initialisation is not a step"
    step = jax.jit(lambda variables, x: module.apply(variables, x, train=True, mutable="batch_stats"))
    for x in batches:
        y, state = step(variables, x)
        variables = variables | state
        expected = peer(channels_first(x)).detach().numpy()
        np.testing.assert_allclose(y, np.moveaxis(expected, 1, -1), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(variables["batch_stats"]["mean"], peer.running_mean, rtol=1e-12)
    np.testing.assert_allclose(variables["batch_stats"]["var"], peer.running_var, rtol=1e-12)
    expected = np.moveaxis(peer.eval()(channels_first(batches[0])).detach().numpy(), 1, -1)
    np.testing.assert_allclose(jax.jit(module.apply)(variables, batches[0]), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_biased_running_statistics_are_flaxs(key):
    import flax.linen as nn

    x = 2 + np.random.default_rng(1).normal(size=SHAPE)
    module = norm.BatchNorm(unbiased=False, param_dtype=jnp.float64)
    peer = nn.BatchNorm(use_running_average=False, momentum=0.9, param_dtype=jnp.float64)
    variables = jax.jit(module.init)(key, x)
    assert jax.tree.structure(variables) == jax.tree.structure(jax.eval_shape(peer.init, key, x))
    y, state = jax.jit(partial(module.apply, train=True, mutable="batch_stats"))(variables, x)
    expected, other = jax.jit(partial(peer.apply, mutable="batch_stats"))(variables, x)
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), state, other)


@pytest.mark.usefixtures("float64")
def test_the_two_conventions_differ_by_n_over_n_minus_one(arrays):
    x, *_ = arrays
    n = x.size / 6

    @partial(jax.jit, static_argnums=1)
    def variance(x, unbiased):
        _, batch = norm.batch_norm(x)
        return norm.update_running(jnp.zeros(6), jnp.zeros(6), batch, unbiased=unbiased)[1]

    unbiased, biased = variance(x, True), variance(x, False)
    np.testing.assert_allclose(unbiased, biased * n / (n - 1), rtol=1e-14)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("fast_variance", [True, False])
def test_padding_changes_neither_moments_nor_gradients(arrays, fast_variance):
    x, scale, bias, cotangent = arrays
    mask = np.array([1, 1, 0, 1])
    padded = np.where(mask[:, None, None, None], x, np.nan)
    kept = mask == 1

    def masked(x, scale, bias):
        y, batch = norm.batch_norm(x, scale, bias, mask=mask, fast_variance=fast_variance)
        return y, batch

    def run(function, x, g):
        (y, batch), pull = jax.vjp(function, x, scale, bias)
        return y, batch, pull((g, jax.tree.map(jnp.zeros_like, batch)))

    plain = partial(norm.batch_norm, fast_variance=fast_variance)
    y, batch, gradients = jax.jit(partial(run, masked))(padded, np.where(mask[:, None, None, None], cotangent, 0))
    expected, moments, slopes = jax.jit(partial(run, plain))(x[kept], cotangent[kept])
    assert jnp.isfinite(y).all()
    np.testing.assert_allclose(y[kept], expected, rtol=1e-10, atol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), batch, moments)
    np.testing.assert_allclose(gradients[0][kept], slopes[0], rtol=1e-9, atol=1e-12)
    assert not gradients[0][~kept].any()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9), gradients[1:], slopes[1:])


def test_a_batch_of_padding_alone_leaves_the_running_moments(key):
    module, x = norm.BatchNorm(), jnp.ones((2, 6))
    variables = jax.jit(module.init)(key, x)
    step = jax.jit(lambda v, x, mask: module.apply(v, x, train=True, mask=mask, mutable="batch_stats"))
    y, state = step(variables, x, jnp.zeros(2))
    assert jnp.isfinite(y).all()
    jax.tree.map(np.testing.assert_array_equal, state["batch_stats"], variables["batch_stats"])


@pytest.mark.usefixtures("float64")
def test_a_named_axis_gives_the_moments_of_all_devices(arrays):
    x, scale, bias, _ = arrays
    parts = x.reshape(2, 2, *SHAPE[1:])
    together = jax.vmap(lambda x: norm.batch_norm(x, scale, bias, axis_name="devices"), axis_name="devices")
    y, batch = jax.jit(together)(parts)
    expected, moments = jax.jit(norm.batch_norm)(x, scale, bias)
    np.testing.assert_allclose(y.reshape(SHAPE), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(batch.count[0], moments.count)
    np.testing.assert_allclose(batch.variance[1], moments.variance, rtol=1e-12)


def test_two_passes_keep_the_digits_of_a_small_deviation_on_a_large_mean():
    x = (1000 + np.array([0.0, 0.25, 0.5, 0.75])).astype(np.float32)[:, None]
    exact = jax.jit(norm.batch_norm, static_argnames="fast_variance")(x, fast_variance=False)[1].variance
    np.testing.assert_allclose(exact, [0.078125], rtol=1e-6)


def test_narrow_inputs_have_wide_moments():
    x = 256 + jnp.arange(8, dtype=jnp.bfloat16)[:, None]  # above 256, bfloat16 has no odd numbers
    y, batch = jax.jit(norm.batch_norm)(x)
    assert y.dtype == jnp.bfloat16
    assert batch.mean.dtype == jnp.float32
    np.testing.assert_array_equal(batch.mean, np.mean(np.asarray(x, np.float32)))


def test_modules_agree_with_their_functions(key):
    x = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    cases = [
        (norm.LayerNorm(dimensions=2), partial(norm.layer_norm, dimensions=2), (2, 6)),
        (norm.InstanceNorm(), norm.instance_norm, (6,)),
        (norm.GroupNorm(groups=2), lambda x, *affine: norm.group_norm(x, 2, *affine), (6,)),
    ]
    for module, function, shape in cases:
        made = jax.eval_shape(module.init, key, x)["params"]
        assert {name: leaf.shape for name, leaf in made.items()} == {"scale": shape, "bias": shape}
        affine = {"scale": np.full(shape, 2, np.float32), "bias": np.full(shape, 0.5, np.float32)}
        out, expected = jax.jit(
            lambda p, x, m=module, f=function: (m.apply({"params": p}, x), f(x, p["scale"], p["bias"]))
        )(affine, x)
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
    assert "params" not in jax.eval_shape(norm.BatchNorm(use_scale=False, use_bias=False).init, key, x[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: norm.batch_norm(np.zeros(3)), r"got \(3,\)"),
        (lambda: norm.instance_norm(np.zeros((2, 3))), r"got \(2, 3\)"),
        (lambda: norm.group_norm(np.zeros((2, 6)), 4), "6 channels, got 4"),
        (lambda: norm.batch_norm(np.zeros((2, 3)), mask=np.zeros(3)), r"\(2, 3\), got \(3,\)"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_integers_are_normalized_as_floating_point_numbers(dtype):
    x = np.array([[0, 1, 101, 7], [1, 0, 100, 120]], dtype)

    @jax.jit
    def all_of(x):
        one = np.ones(4, np.float32)
        return (
            norm.batch_norm(x)[0],
            norm.layer_norm(x),
            norm.instance_norm(x[None]),
            norm.group_norm(x, 2),
            norm.local_response_norm(x),
            norm.normalize(x, 100.5 * one, 4 * one),
        )

    for ours, expected in zip(all_of(x), all_of(x.astype(np.float32)), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("mean", [0.0, 40_000.0, -3e6])
def test_a_large_mean_costs_no_digit_by_default(mean):
    x = (mean + np.array([0.0, 1.0, 2.0, 3.0])).astype(np.float32)
    expected = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25 + 1e-5)

    @jax.jit
    def all_of(x):
        return (
            norm.layer_norm(x),
            norm.batch_norm(x[:, None])[0][:, 0],
            norm.instance_norm(x[None, :, None])[0, :, 0],
            norm.group_norm(x[None], 1)[0],
            norm.BatchNorm(use_scale=False, use_bias=False).apply(
                {"batch_stats": {"mean": jnp.zeros(1), "var": jnp.ones(1)}}, x[:, None], train=True
            )[:, 0],
        )

    for value in all_of(x):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert not jax.jit(norm.layer_norm)(np.full(3, mean + 0.1, np.float32)).any(), "a constant has no deviations"


@pytest.mark.usefixtures("float64")
def test_flaxs_batch_norm_gets_the_mask_of_the_rows_too(arrays, key):
    import flax.linen as nn

    x, mask = arrays[0], np.array([1, 0, 1, 1])
    peer = nn.BatchNorm(use_running_average=False, param_dtype=jnp.float64)
    variables = peer.init(key, x)

    @jax.jit
    def run(x, mask):
        with norm.row_mask(mask):
            return peer.apply(variables, x, mutable="batch_stats")[1]

    expected = peer.apply(variables, x[mask == 1], mutable="batch_stats")[1]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), run(x, mask), expected)
    with pytest.raises(ValueError, match="of 3 rows"):
        run(x, mask[:3])
