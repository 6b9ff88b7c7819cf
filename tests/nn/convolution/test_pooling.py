"""Pooling and unpooling against torch: tiles and overlapping windows, values and gradients, one to three dimensions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution import pooling

CASES = {
    "tiles 1-D": ((8,), (2,), {}),
    "tiles 2-D": ((6, 4), (2, 2), {}),
    "tiles 2-D with a rest": ((7, 5), (3, 2), {}),
    "tiles 3-D": ((4, 4, 6), (2, 2, 3), {}),
    "overlapping": ((7, 7), (3, 3), {"stride": 2}),
    "padded": ((7, 6), (3, 3), {"stride": 2, "padding": 1}),
    "gaps 1-D": ((9,), (2,), {"stride": 3}),
    "overlapping 3-D": ((4, 5, 4), (3, 3, 2), {"stride": 1, "padding": 1}),
}


def torch_pool(name, x, weights, window, options):
    torch = pytest.importorskip("torch", reason="parity with torch")
    a = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    y = getattr(torch.nn.functional, f"{name}_pool{len(window)}d")(a, window, **options)
    y.backward(torch.tensor(np.moveaxis(weights, -1, 1).copy()))
    return np.moveaxis(y.detach().numpy(), 1, -1), np.moveaxis(a.grad.numpy(), 1, -1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("float64")
def test_values_and_gradients_are_those_of_torch(case):
    sizes, window, options = CASES[case]
    random = np.random.RandomState(0)
    x = random.standard_normal((2, *sizes, 3))
    counts = [{}] if "padding" not in options else [{}, {"count_include_pad": False}]
    runs = [("max", pooling.max_pool, {}), *(("avg", pooling.average_pool, count) for count in counts)]
    weights = random.standard_normal(jax.eval_shape(lambda x: pooling.max_pool(x, window, **options), x).shape)

    @jax.jit
    def compute(x, weights):
        pools = [partial(pool, window=window, **options, **count) for _, pool, count in runs]
        return [(y, *pull(weights)) for y, pull in (jax.vjp(pool, x) for pool in pools)]

    for (name, _, count), (y, slope) in zip(runs, compute(x, weights), strict=True):
        expected, gradient = torch_pool(name, x, weights, window, options | count)
        np.testing.assert_allclose(y, expected, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(slope, gradient, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("options", [{}, {"stride": 1, "padding": 1}])
def test_the_smallest_is_minus_the_largest_of_minus_x(options):
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 2), np.float32)
    pools = jax.jit(lambda x: (pooling.min_pool(x, 2, **options), -pooling.max_pool(-x, 2, **options)))
    np.testing.assert_array_equal(*pools(x))
    unsigned = np.array([0, 3, 200, 255], np.uint8).reshape(4, 1)
    assert pooling.min_pool(unsigned, (2,)).ravel().tolist() == [0, 200]
    assert pooling.max_pool(unsigned, (2,), stride=1).ravel().tolist() == [3, 200, 255]


def test_tiles_and_scattered_windows_agree(monkeypatch):
    x = np.random.default_rng(0).standard_normal((2, 6, 4, 3), np.float32)

    @partial(jax.jit, static_argnums=1)
    def results(x, tiles):
        pools = (pooling.max_pool, pooling.min_pool, pooling.average_pool)
        with monkeypatch.context() as patched:
            patched.setattr(pooling, "_tiles", lambda frame: tiles)
            pairs = [jax.vjp(lambda x, pool=pool: pool(x, 2), x) for pool in pools]
        return [(y, pull(jnp.cos(y))[0]) for y, pull in pairs]

    tiles, windows = (jax.tree.leaves(results(x, tiles)) for tiles in (True, False))
    for a, b in zip(tiles, windows, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_the_sum_of_windows_is_that_of_the_platform_of_the_program():
    traced = jax.jit(partial(pooling.average_pool, window=2)).trace(np.zeros((2, 6, 4, 3), np.float32))
    programs = {p: traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "tpu")}
    assert {p: "reduce_window" in program for p, program in programs.items()} == {"cpu": False, "tpu": True}


def test_numbers_that_are_not_numbers_and_bounds_pass():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    x[0, 0, 0], x[0, 2:, 2:] = np.nan, -np.inf
    (y,) = np.asarray(pooling.max_pool(x, 2))
    assert np.isnan(y[0, 0, 0])
    assert y[1, 1, 0] == -np.inf


@pytest.mark.parametrize("options", [{}, {"stride": 1}])
def test_among_equal_numbers_the_first_has_the_gradient_as_in_torch(options):
    x = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [2, 2, 3, 3], [2, 2, 3, 3]], np.float32).reshape(1, 4, 4, 1)

    @jax.jit
    def gradients(x):
        largest = jax.grad(lambda x: pooling.max_pool(x, 2, **options).sum())(x)
        return largest, jax.grad(lambda x: pooling.min_pool(x, 2, **options).sum())(-x)

    gradient, smallest = gradients(x)
    weights = np.ones((1, 2, 2, 1) if not options else (1, 3, 3, 1), np.float32)
    np.testing.assert_array_equal(gradient, torch_pool("max", x, weights, (2, 2), options)[1])
    np.testing.assert_array_equal(smallest, gradient)


def test_global_pooling_is_pooling_by_a_window_as_large_as_the_input():
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3), np.float32)

    @jax.jit
    def compute(x):
        largest = pooling.global_max_pool(x), pooling.max_pool(x, (5, 4))[:, 0, 0]
        return pooling.global_average_pool(x), largest, pooling.global_max_pool(x, dimensions=3)

    average, largest, of_all = compute(x)
    np.testing.assert_allclose(average, x.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(*largest)
    assert of_all.shape == (3,)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_dtype_stays_and_means_are_wide(dtype):
    @jax.jit
    def compute(x):
        means = [pooling.average_pool(x, 16), pooling.global_average_pool(x)]
        return means, [*means, pooling.average_pool(x, 16, padding=1), pooling.max_pool(x, 2)]

    means, all_of_them = compute(np.ones((1, 16, 16, 1), dtype))
    assert all(y.dtype == dtype for y in all_of_them)
    assert all(mean.item() == 1 for mean in means)


@pytest.mark.parametrize(
    ("shape", "window", "options", "message"),
    [
        ((4, 4), 2, {}, r"got \(4, 4\)"),
        ((1, 4, 4, 1), (0, 2), {}, r"got \(0, 2\)"),
        ((1, 4, 4, 1), (2, 2, 2, 2), {}, r"got \(2, 2, 2, 2\)"),
        ((1, 4, 4, 1), 5, {}, "5 elements of dimension H.* got 4"),
        ((1, 4, 4, 1), 2, {"padding": 2}, r"got \(2, 2\)"),
        ((1, 4, 4, 1), 2, {"stride": 0}, "got 0"),
    ],
)
def test_invalid_arguments_raise(shape, window, options, message):
    for pool in (pooling.max_pool, pooling.min_pool, pooling.average_pool):
        with pytest.raises(ValueError, match=message):
            pool(np.zeros(shape, np.float32), window, **options)


def test_global_pooling_raises_for_too_few_dimensions():
    with pytest.raises(ValueError, match=r"got \(4, 3\)"):
        pooling.global_max_pool(np.zeros((4, 3)))


def torch_unpool(x, numbers, window, options):
    """Return torch's pooled numbers and switches, and where its unpooling puts other numbers; channels last."""
    torch = pytest.importorskip("torch", reason="parity with torch")
    first = [torch.tensor(np.moveaxis(a, -1, 1).copy()) for a in (x, numbers)]
    options, rank = {"stride": window} | options, len(window)
    y, switches = getattr(torch.nn.functional, f"max_pool{rank}d")(first[0], window, **options, return_indices=True)
    unpool = getattr(torch.nn.functional, f"max_unpool{rank}d")
    z = unpool(first[1], switches, window, **options, output_size=x.shape[1:-1])
    return [np.moveaxis(a.numpy(), 1, -1) for a in (y, switches, z)]


@pytest.mark.parametrize("case", CASES)
def test_switches_and_unpooling_are_those_of_torch(case):
    sizes, window, options = CASES[case]
    random = np.random.RandomState(0)
    x = random.randint(-3, 3, (2, *sizes, 3)).astype(np.float32)  # many are equal

    @jax.jit
    def compute(x, numbers):
        y, switches = pooling.max_pool_with_switches(x, window, **options)
        unpool = partial(pooling.max_unpool, numbers, switches, sizes)
        pooled, pull = jax.vjp(lambda x: pooling.max_pool(x, window, **options), x)
        return y, switches, unpool(), unpool(overlap="sum"), pooled, *pull(numbers)

    shape = jax.eval_shape(lambda x: pooling.max_pool(x, window, **options), x).shape
    numbers = random.standard_normal(shape).astype(np.float32)
    y, switches, last, total, pooled, gradient = compute(x, numbers)
    for ours, theirs in zip((y, switches, last), torch_unpool(x, numbers, window, options), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(y, pooled)
    np.testing.assert_allclose(total, gradient, rtol=1e-5, atol=1e-6)


def test_switches_know_infinities_integers_and_single_examples():
    x = np.full((4, 4, 1), -np.inf, np.float32)
    options = {"stride": 2, "padding": 1}
    y, switches = jax.jit(lambda x: pooling.max_pool_with_switches(x, 3, **options))(x)
    assert switches[..., 0].tolist() == [[0, 1], [4, 5]]
    assert torch_unpool(x[None], np.zeros((1, 2, 2, 1), np.float32), (3, 3), options)[1].ravel().tolist() == [
        0,
        1,
        4,
        5,
    ]
    assert np.all(y == -np.inf)
    _, switches = pooling.max_pool_with_switches(np.array([0, 3, 255, 200], np.uint8).reshape(4, 1), (2,))
    assert (switches.dtype, switches.ravel().tolist()) == (np.int32, [1, 2])


def test_the_gradient_goes_to_the_switches_and_back_again():
    x, weights = np.random.default_rng(0).standard_normal((2, 1, 7, 7, 2), np.float32)

    @jax.jit
    def compute(x):
        y, switches = pooling.max_pool_with_switches(x, 3, stride=2)
        pooled = jax.grad(lambda x: jnp.sum(jnp.sin(pooling.max_pool_with_switches(x, 3, stride=2)[0])))(x)
        unpooled = jax.grad(lambda y: jnp.sum(weights * pooling.max_unpool(y, switches, (7, 7), overlap="sum")))(y)
        places = jnp.take_along_axis(weights.reshape(1, -1, 2), switches.reshape(1, -1, 2), axis=1)
        expected = jax.grad(lambda x: jnp.sum(jnp.sin(pooling.max_pool(x, 3, stride=2))))(x)
        return pooled, expected, unpooled, places.reshape(y.shape)

    pooled, expected, unpooled, places = compute(x)
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)
    np.testing.assert_array_equal(unpooled, places)


def test_blind_unpooling_puts_every_number_at_the_same_position():
    y = np.arange(1.0, 7.0, dtype=np.float32).reshape(1, 2, 3, 1)
    expected = np.zeros((1, 4, 9, 1), np.float32)
    expected[:, 1::2, 2::3] = y
    np.testing.assert_array_equal(pooling.blind_unpool(y, (2, 3), position=(1, 2)), expected)
    np.testing.assert_array_equal(pooling.blind_unpool(y[0], 2)[::2, ::2], y[0])
    with pytest.raises(ValueError, match="got 2"):
        pooling.blind_unpool(y, 2, position=2)
    with pytest.raises(ValueError, match=r"got \(3, 1\)"):
        pooling.blind_unpool(y[0, 0], 2)


@pytest.mark.parametrize(
    ("switches", "size", "options", "message"),
    [
        (np.zeros((2, 2, 1), np.float32), (4, 4), {}, "got float32"),
        (np.zeros((2, 1, 1), np.int32), (4, 4), {}, r"got int32 \(2, 1, 1\)"),
        (np.zeros((2, 2, 1), np.int32), (4, 4, 4), {}, r"got \(2, 2, 1\)"),
        (np.zeros((2, 2, 1), np.int32), (4, 0), {}, r"got \(4, 0\)"),
        (np.zeros((2, 2, 1), np.int32), (4, 4), {"overlap": "first"}, "got 'first'"),
    ],
)
def test_invalid_arguments_of_unpooling_raise(switches, size, options, message):
    with pytest.raises(ValueError, match=message):
        pooling.max_unpool(np.ones((2, 2, 1), np.float32), switches, size, **options)


def test_the_integers_of_numpy_are_taken():
    x = np.arange(16, dtype=np.float32).reshape(4, 4, 1)

    @jax.jit
    def compute(x):
        numbers = (np.int64(2), np.int64(1)), (2, 1)
        return [(pooling.max_pool(x, two), pooling.blind_unpool(x, two, position=one)) for two, one in numbers]

    jax.tree.map(np.testing.assert_array_equal, *compute(x))


def test_booleans_are_pooled_by_or_and_and():
    x = np.random.default_rng(0).random((1, 5, 4, 2)) < 0.5

    @jax.jit
    def all_of(x):
        windows = ((2, None), (3, 1))
        maxima = [pooling.max_pool(x, window, stride=stride) for window, stride in windows]
        return maxima, [pooling.min_pool(x, window, stride=stride) for window, stride in windows]

    ours, expected = all_of(x), all_of(x.astype(np.float32))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.astype(np.float32), b), ours, expected)
    y, switches = pooling.max_pool_with_switches(x, 2)
    np.testing.assert_array_equal(switches, pooling.max_pool_with_switches(x.astype(np.float32), 2)[1])
    assert y.dtype == bool
