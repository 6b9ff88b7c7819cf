import jax
import numpy as np
import pytest

from jaxdl.nn.dense import linear


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
