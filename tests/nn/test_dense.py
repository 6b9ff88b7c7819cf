import jax
import numpy as np
import pytest

from jaxdl.nn.dense import linear, quadratic, sparse_linear


@pytest.mark.usefixtures("float64")
def test_values_and_gradients_are_those_of_torch():
    torch = pytest.importorskip("torch", reason="parity with torch")
    random = np.random.RandomState(0)
    x, kernel, bias, weights = (random.standard_normal(shape) for shape in [(2, 3, 4), (4, 5), (5,), (2, 3, 5)])
    y, pull = jax.vjp(linear, x, kernel, bias)
    peers = [torch.tensor(a, requires_grad=True) for a in (x, kernel.T.copy(), bias)]
    expected = torch.nn.functional.linear(*peers)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-13)
    x_gradient, kernel_gradient, bias_gradient = pull(jax.numpy.asarray(weights))
    np.testing.assert_allclose(x_gradient, peers[0].grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(kernel_gradient, peers[1].grad.numpy().T, atol=1e-13)
    np.testing.assert_allclose(bias_gradient, peers[2].grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(linear(x[0, 0], kernel), (x @ kernel)[0, 0], atol=1e-13)


@pytest.mark.parametrize(
    ("x", "kernel", "bias", "message"),
    [
        ((2, 3), (4, 5), None, r"got \(2, 3\) and \(4, 5\)"),
        ((2, 4), (4,), None, r"got \(2, 4\) and \(4,\)"),
        ((2, 4), (4, 5), (4,), r"got \(4,\)"),
    ],
)
def test_shapes_that_do_not_match_raise(x, kernel, bias, message):
    with pytest.raises(ValueError, match=message):
        linear(np.zeros(x), np.zeros(kernel), None if bias is None else np.zeros(bias))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_products_of_integers_do_not_wrap(dtype):
    x, kernel = np.full((1, 3), 100, dtype), np.full((3, 1), 100, dtype)
    assert linear(x, kernel).item() == 3 * float(x[0, 0]) * float(kernel[0, 0])


@pytest.mark.usefixtures("float64")
def test_sparse_inputs_equal_dense_ones_with_their_gradients():
    random = np.random.default_rng(0)
    indices, values = np.array([[0, 2, 2], [3, 1, 0]]), np.array([[1.5, -1.0, 2.0], [0.5, 0.0, 3.0]])
    kernel, bias = random.normal(size=(5, 2)), random.normal(size=2)
    dense = np.zeros((2, 5))
    for row, (places, numbers) in enumerate(zip(indices, values, strict=True)):
        np.add.at(dense[row], places, numbers)
    y, pull = jax.vjp(lambda v, w, b: sparse_linear(indices, v, w, b), values, kernel, bias)
    expected, dense_pull = jax.vjp(linear, dense, kernel, bias)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    weights = jax.numpy.asarray(random.normal(size=y.shape))
    (v_gradient, *ours), (x_gradient, *theirs) = pull(weights), dense_pull(weights)
    np.testing.assert_allclose(v_gradient, np.take_along_axis(np.asarray(x_gradient), indices, axis=1), rtol=1e-12)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)


def test_sparse_inputs_equal_torch_embedding_bags():
    torch = pytest.importorskip("torch", reason="parity with torch")
    random = np.random.default_rng(0)
    kernel, indices = random.normal(size=(6, 3)).astype(np.float32), random.integers(0, 6, (4, 5))
    values = random.normal(size=(4, 5)).astype(np.float32)
    bag = torch.nn.functional.embedding_bag(
        torch.tensor(indices), torch.tensor(kernel), mode="sum", per_sample_weights=torch.tensor(values)
    )
    np.testing.assert_allclose(sparse_linear(indices, values, kernel), bag.numpy(), atol=1e-5)


def test_the_cost_of_sparse_inputs_is_that_of_their_entries():
    def operations(function, *arrays):
        return jax.jit(function).lower(*arrays).compile().cost_analysis()["flops"]

    kernel, x = np.ones((1000, 16), np.float32), np.ones((8, 1000), np.float32)
    indices, values = np.zeros((8, 10), np.int32), np.ones((8, 10), np.float32)
    assert operations(linear, x, kernel) >= 2 * 8 * 1000 * 16
    assert operations(sparse_linear, indices, values, kernel) < 2 * 8 * 10 * 16 * 3


def test_an_index_outside_of_the_kernel_is_an_error_or_nan():
    kernel, values = np.ones((3, 2), np.float32), np.ones(1, np.float32)
    with pytest.raises(ValueError, match="got 3"):
        sparse_linear(np.array([3]), values, kernel)
    assert np.isnan(jax.jit(sparse_linear)(np.array([3]), values, kernel)).all()
    with pytest.raises(TypeError, match="float32"):
        sparse_linear(values, values, kernel)
    with pytest.raises(ValueError, match=r"got \(2,\), \(1,\)"):
        sparse_linear(np.array([0, 1]), values, kernel)


@pytest.mark.usefixtures("float64")
def test_the_quadratic_model_is_a_sum_over_pairs():
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(4, 3)), random.normal(size=(3, 3))
    expected = [sum(kernel[i, j] * row[i] * row[j] for i in range(3) for j in range(3)) for row in x]
    np.testing.assert_allclose(quadratic(x, kernel), expected, rtol=1e-12)
    gradient = jax.grad(lambda x: quadratic(x, kernel).sum())(jax.numpy.asarray(x))
    np.testing.assert_allclose(gradient, x @ (kernel + kernel.T), rtol=1e-12)
    assert quadratic(np.array([1, 2]), np.eye(2, dtype=int)) == 5
    with pytest.raises(ValueError, match=r"got \(3, 2\)"):
        quadratic(x, kernel[:, :2])


@pytest.mark.parametrize("index", [-1, 3])
def test_a_traced_index_outside_of_the_kernel_gives_nan(index):
    kernel = np.array([[1.0], [10.0], [100.0]], np.float32)
    assert np.isnan(jax.jit(sparse_linear)(np.array([0, index]), np.ones(2, np.float32), kernel)).all()
