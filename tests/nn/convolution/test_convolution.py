"""Convolution against torch: values and gradients, every internal form, inside and outside a scan."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution import _forms as convolution_forms
from jaxdl.nn.convolution import convolution
from jaxdl.nn.convolution.convolution import Conv, convolve
from jaxdl.nn.convolution.geometry import make_window, output_size, receptive_field

FORMS = sorted(convolution_forms.FORMS)

# spatial sizes, kernel size, channels, features, options
CASES = {
    "1-D": ((9,), (3,), 2, 4, {}),
    "1-D in blocks": ((25,), (4,), 3, 40, {"padding": 1}),
    "1-D strided, dilated": ((12,), (3,), 2, 4, {"stride": 2, "dilation": 2, "padding": 1}),
    "2-D": ((7, 6), (3, 2), 3, 4, {}),
    "2-D padded": ((6, 7), (3, 3), 2, 4, {"padding": 1}),
    "2-D uneven stride and dilation": ((9, 10), (2, 3), 2, 4, {"stride": (2, 3), "dilation": (3, 2), "padding": 2}),
    "2-D in blocks": ((5, 11), (2, 3), 2, 16, {"stride": (1, 2), "dilation": (2, 1), "padding": 3}),
    "2-D two groups": ((6, 5), (3, 3), 4, 6, {"groups": 2, "padding": 1}),
    "2-D depthwise": ((6, 5), (3, 3), 4, 8, {"groups": 4, "stride": 2}),
    "2-D kernel of size 1": ((5, 6), (1, 1), 3, 4, {"stride": 2}),
    "2-D n x 1": ((7, 5), (5, 1), 2, 3, {"padding": ((2, 2), (0, 0))}),
    "3-D": ((4, 5, 4), (2, 3, 2), 2, 3, {"stride": (1, 2, 1), "padding": 1}),
}


def fits(form, kernel_size, options):
    """Say whether a form can compute a case."""
    groups = options.get("groups", 1)
    if form == "product":
        return groups == 1 and set(kernel_size) == {1} and "padding" not in options
    return form != "band" or groups == 1


def arrays(sizes, kernel_size, channels, features, groups=1, seed=0):
    random = np.random.RandomState(seed)
    x = random.standard_normal((2, *sizes, channels))
    return x, random.standard_normal((*kernel_size, channels // groups, features))


def torch_convolution(x, kernel, weights, options):
    """Return torch's outputs and its gradients of ``sum(weights * y)``, channels last."""
    torch = pytest.importorskip("torch", reason="parity with torch")
    rank = kernel.ndim - 2
    padding = options.get("padding", 0)
    if not isinstance(padding, int):
        padding = tuple(low for low, _ in padding)
    a = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    k = torch.tensor(np.moveaxis(kernel, (-1, -2), (0, 1)).copy(), requires_grad=True)
    function = getattr(torch.nn.functional, f"conv{rank}d")
    y = function(a, k, padding=padding, **{name: n for name, n in options.items() if name != "padding"})
    if weights is None:
        return np.moveaxis(y.detach().numpy(), 1, -1)
    y.backward(torch.tensor(np.moveaxis(weights, -1, 1).copy()))
    return np.moveaxis(a.grad.numpy(), 1, -1), np.moveaxis(k.grad.numpy(), (0, 1), (-1, -2))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("float64")
def test_every_form_agrees_with_torch_in_values_and_gradients(case):
    sizes, kernel_size, channels, features, options = CASES[case]
    x, kernel = arrays(sizes, kernel_size, channels, features, options.get("groups", 1))
    expected = torch_convolution(x, kernel, None, options)
    weights = np.random.RandomState(1).standard_normal(expected.shape)
    gradients = torch_convolution(x, kernel, weights, options)
    forms = [form for form in FORMS if fits(form, kernel_size, options)]

    @jax.jit
    def compute(x, kernel, weights):
        results = {}
        for form in forms:
            y, pull = jax.vjp(lambda x, kernel, form=form: convolve(x, kernel, form=form, **options), x, kernel)
            results[form] = (y, *pull(weights))
        return results

    for form, (y, x_gradient, kernel_gradient) in compute(x, kernel, weights).items():
        np.testing.assert_allclose(y, expected, atol=1e-12, err_msg=form)
        np.testing.assert_allclose(x_gradient, gradients[0], atol=1e-12, err_msg=form)
        np.testing.assert_allclose(kernel_gradient, gradients[1], atol=1e-12, err_msg=form)


@pytest.mark.parametrize("form", ["lax", "band", "patches", "mixed"])
@pytest.mark.usefixtures("float64")
def test_a_scan_over_steps_gives_what_a_loop_of_torch_gives(form):
    options = {"padding": 1}
    x, kernel = arrays((5, 6), (3, 3), 2, 2)
    weights = np.random.RandomState(1).standard_normal((2, 5, 6, 2))

    def step(kernel, x):
        _, pull = jax.vjp(lambda kernel: convolve(x, kernel, form=form, **options), kernel)
        return kernel - 0.01 * pull(jnp.asarray(weights))[0], None

    scanned, _ = jax.jit(lambda kernel, xs: jax.lax.scan(step, kernel, xs))(kernel, np.stack([x, 2 * x, -3 * x]))
    expected = kernel
    for batch in (x, 2 * x, -3 * x):
        expected = expected - 0.01 * torch_convolution(batch, expected, weights, options)[1]
    np.testing.assert_allclose(scanned, expected, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_second_derivatives_of_every_form_are_those_of_xla():
    x, kernel = arrays((4, 5), (2, 2), 2, 2)

    def slope(x, kernel, form):
        def loss(kernel):
            return jnp.sum(jnp.sin(convolve(x, kernel, stride=2, padding=1, form=form)))

        return jnp.sum(jax.grad(loss)(kernel) ** 2)

    forms = ["lax", "auto", "band", "patches", "mixed"]
    results = jax.jit(lambda *args: [jax.grad(slope, argnums=(0, 1))(*args, form) for form in forms])(x, kernel)
    for form, result in zip(forms, results, strict=True):
        for ours, expected in zip(result, results[0], strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-11, err_msg=form)


@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2, "groups": 2}], ids=["padded", "groups"])
@pytest.mark.usefixtures("float64")
def test_forward_mode_of_every_form_is_that_of_xla(options):
    x, kernel = arrays((4, 5), (2, 2), 2, 2, options.get("groups", 1))
    dx, dkernel = (np.cos(a) for a in (x, kernel))
    forms = ["lax", "auto", "patches", "mixed"] + ["band"] * ("groups" not in options)

    def derivatives(form, *primals):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(convolve(x, kernel, form=form, **options)))

        directions = (dx, dkernel)
        return jax.jvp(loss, primals, directions), jax.jvp(jax.grad(loss, argnums=(0, 1)), primals, directions)

    expected, *others = jax.jit(lambda *args: [derivatives(form, *args) for form in forms])(x, kernel)
    for form, result in zip(forms[1:], others, strict=True):
        for ours, theirs in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-11, err_msg=form)


@pytest.mark.parametrize(("form", "convolutions"), [("lax", 2), ("mixed", 1), ("patches", 0)])
def test_the_gradient_of_the_kernel_is_a_convolution_in_the_form_of_xla_alone(form, convolutions):
    def gradient(x, kernel):
        y, pull = jax.vjp(lambda kernel: convolve(x, kernel, form=form), kernel)
        return y, pull(y)

    x, kernel = (a.astype(np.float32) for a in arrays((6, 6), (3, 3), 2, 4))
    program = jax.jit(gradient).lower(x, kernel).compile().as_text()
    assert program.count(" convolution(") == convolutions


@pytest.mark.usefixtures("float64")
def test_derivatives_of_derivatives_by_x_and_kernel_are_those_of_xla_in_every_mode():
    x, kernel = arrays((4, 5), (2, 2), 2, 2)
    forms = ["lax", "band", "patches", "mixed"]

    def derivatives(x, kernel, form):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(convolve(x, kernel, stride=2, padding=1, form=form)))

        def along(kernel):
            return jax.jvp(lambda x: loss(x, kernel), (x,), (jnp.cos(x),))[1]

        def steepness(kernel):
            return jnp.sum(jax.grad(jax.checkpoint(loss))(x, kernel) ** 2)

        each = jax.vmap(jax.grad(lambda x, k: jax.jvp(lambda k: loss(x, k), (k,), (k,))[1]), (0, None))(x, kernel)
        second = [jax.grad(along)(kernel), jax.grad(jax.checkpoint(along))(kernel), jax.grad(steepness)(kernel)]
        return [*second, jax.jvp(steepness, (kernel,), (jnp.sin(kernel),))[1], each]

    expected, *others = jax.jit(lambda *args: [derivatives(*args, form) for form in forms])(x, kernel)
    for form, result in zip(forms[1:], others, strict=True):
        for ours, theirs in zip(result, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-11, err_msg=form)


def test_reverse_through_forward_mode_has_no_kernel_gradient_of_xla():
    x, kernel = (a.astype(np.float32) for a in arrays((6, 6), (3, 3), 2, 4))

    def along(kernel):
        return jax.jvp(lambda x: jnp.sum(jnp.sin(convolve(x, kernel, form="mixed"))), (x,), (x,))[1]

    program = jax.jit(jax.grad(along)).lower(kernel).as_text()
    results = [line.split("-> ")[-1].strip() for line in program.splitlines() if "stablehlo.convolution" in line]
    assert results == ["tensor<2x4x4x4xf32>"] * 2


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "dilation"), [(4, 1), (3, 2)])
@pytest.mark.usefixtures("float64")
def test_named_padding_is_that_of_torch(padding, size, dilation):
    torch = pytest.importorskip("torch", reason="parity with torch")
    x, kernel = arrays((7, 8), (size, size), 2, 3)
    a, k = torch.tensor(np.moveaxis(x, -1, 1).copy()), torch.tensor(np.moveaxis(kernel, (-1, -2), (0, 1)).copy())
    expected = torch.nn.functional.conv2d(a, k, padding=padding, dilation=dilation).numpy()
    ours = jax.jit(partial(convolve, padding=padding, dilation=dilation))(x, kernel)
    np.testing.assert_allclose(ours, np.moveaxis(expected, 1, -1), atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_full_padding_of_a_flipped_kernel_is_the_convolution_of_mathematics():
    signal = pytest.importorskip("scipy.signal", reason="parity with scipy")
    x, kernel = arrays((5, 6), (3, 2), 1, 1)
    expected = signal.convolve2d(x[0, ..., 0], kernel[..., 0, 0], mode="full")
    ours = jax.jit(partial(convolve, padding="full"))(x[0], np.flip(kernel, (0, 1)))
    np.testing.assert_allclose(np.asarray(ours)[..., 0], expected, atol=1e-12)


def test_leading_dimensions_are_as_many_as_one_likes():
    x, kernel = (a.astype(np.float32) for a in arrays((6, 6), (3, 3), 2, 3))

    @jax.jit
    def run(x, kernel):
        mapped = jax.vmap(lambda x: convolve(x, kernel))(x)
        return convolve(x, kernel), convolve(x[0], kernel), convolve(x[:, None], kernel), mapped

    batch, one, more, mapped = map(np.asarray, run(x, kernel))
    np.testing.assert_allclose(one, batch[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(more, batch[:, None], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mapped, batch, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_dtype_is_that_of_the_inputs(dtype):
    x, kernel = (a.astype(dtype) for a in arrays((6, 6), (3, 3), 2, 3))
    for form in ("lax", "band", "patches", "mixed"):
        assert jax.eval_shape(partial(convolve, form=form), x, kernel).dtype == dtype


@pytest.mark.parametrize(
    ("size", "kernel", "form"),
    [
        ((28, 28), (5, 5, 1, 6), "band"),
        ((32, 32), (3, 3, 3, 32), "band"),
        ((56, 56), (1, 1, 64, 256), "product"),
        ((32, 32), (3, 3, 64, 64), "mixed"),
        ((224, 224), (3, 3, 3, 32), "mixed"),
    ],
)
def test_on_the_cpu_the_form_depends_on_the_shapes(size, kernel, form):
    window = make_window(size, kernel[:2], 1, "same", 1)
    assert convolution_forms.choose_cpu_form(kernel, window, 1) == form


@pytest.mark.parametrize("kernel_shape", [(5, 5, 1, 6), (1, 1, 4, 6), (3, 3, 16, 6)], ids=["band", "product", "mixed"])
def test_the_form_is_that_of_the_platform_of_the_program(kernel_shape):
    x, kernel = np.zeros((2, 8, 8, kernel_shape[2]), np.float32), np.zeros(kernel_shape, np.float32)
    traced = jax.jit(jax.value_and_grad(lambda k, x: jnp.sum(convolve(x, k) ** 2), argnums=(0, 1))).trace(kernel, x)
    found = {}
    for platform in ("cpu", "tpu", "cuda"):
        program = traced.lower(lowering_platforms=(platform,)).as_text()
        found[platform] = program.count("stablehlo.convolution"), program.count("stablehlo.dot_general")
    assert found["tpu"] == found["cuda"] == (3, 0)  # the outputs, and the gradients of x and the kernel
    assert found["cpu"][1] > 0
    assert found["cpu"][0] == (2 if kernel_shape[2] == 16 else 0)


@pytest.mark.parametrize("case", ["2-D padded", "2-D kernel of size 1", "2-D two groups", "2-D in blocks"])
@pytest.mark.usefixtures("float64")
def test_programs_for_other_platforms_have_the_gradients_of_torch(case, monkeypatch):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    monkeypatch.setattr(convolution, "_apply", convolution._apply.__wrapped__)  # without its cache
    sizes, kernel_size, channels, features, options = CASES[case]
    x, kernel = arrays(sizes, kernel_size, channels, features, options.get("groups", 1), seed=2)
    expected = torch_convolution(x, kernel, None, options)
    weights = np.random.RandomState(1).standard_normal(expected.shape)

    @jax.jit
    def compute(x, kernel, weights):
        y, pull = jax.vjp(lambda x, kernel: convolve(x, kernel, **options), x, kernel)
        return y, pull(weights)

    y, gradients = compute(x, kernel, weights)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    for ours, theirs in zip(gradients, torch_convolution(x, kernel, weights, options), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "kernel", "options", "message"),
    [
        ((2, 3, 8, 8), (3, 3, 3, 4), {}, r"moveaxis\(x, -3, -1\)"),
        ((2, 8, 8, 5), (3, 3, 3, 4), {}, "3 channels.* got 5"),
        ((8, 8), (3, 3, 3, 4), {}, r"got \(8, 8\)"),
        ((2, 8, 8, 3), (3, 3), {}, r"got \(3, 3\)"),
        ((2, 2, 8, 3), (3, 3, 3, 4), {}, "3 elements of dimension H.* got 2"),
        ((2, 8, 8, 3), (3, 3, 3, 4), {"dilation": 4}, "9 elements of dimension H.* got 8"),
        ((2, 8, 8, 4), (3, 3, 2, 3), {"groups": 2}, "got 2"),
        ((2, 8, 8, 3), (3, 3, 3, 4), {"stride": 0}, "got 0"),
        ((2, 8, 8, 3), (3, 3, 3, 4), {"padding": "SAME"}, "got 'SAME'"),
        ((2, 8, 8, 3), (3, 3, 3, 4), {"padding": (1, 1, 1)}, r"got \(1, 1, 1\)"),
        ((2, 8, 8, 3), (3, 3, 3, 4), {"form": "product"}, r"got the kernel \(3, 3, 3, 4\)"),
        ((2, 8, 8, 3), (3, 3, 3, 4), {"form": "fft"}, "got 'fft'"),
    ],
)
def test_invalid_arguments_raise(x, kernel, options, message):
    with pytest.raises(ValueError, match=message):
        convolve(np.zeros(x, np.float32), np.zeros(kernel, np.float32), **options)


def test_output_size_equals_the_shape_of_the_output():
    x = np.zeros((1, 17, 1), np.float32)
    for kernel_size, stride, padding, dilation in [(3, 1, 0, 1), (3, 2, 1, 2), (5, 3, "same", 1), (4, 2, "full", 3)]:
        run = partial(convolve, stride=stride, padding=padding, dilation=dilation)
        y = jax.eval_shape(run, x, np.zeros((kernel_size, 1, 1), np.float32))
        assert y.shape[1] == output_size(17, kernel_size, stride, padding, dilation, exact=False)


def test_output_sizes_of_published_networks():
    assert output_size(227, 11, stride=4) == 55
    assert output_size(32, 5) == 28
    assert output_size(7, 3, stride=2, padding=(1, 0), exact=False) == 3
    with pytest.raises(ValueError, match="got 2"):
        output_size(7, 4, stride=2)
    with pytest.raises(ValueError, match="got 7"):
        output_size(7, 8)


def test_the_receptive_field_is_where_the_gradient_is_not_zero():
    layers = [(3, 1, 1), (2, 2, 1), (3, 1, 2)]

    def last(x):
        for kernel_size, stride, dilation in layers:
            x = convolve(x, jnp.ones((kernel_size, 1, 1)), stride=stride, dilation=dilation)
        return x[0, 0]

    seen = jnp.count_nonzero(jax.jit(jax.grad(last))(jnp.ones((30, 1))))
    assert seen == receptive_field(layers)
    assert receptive_field([(2, 1, 2**i) for i in range(10)] * 16) == 16369
    with pytest.raises(ValueError, match=r"got \(3, 0\)"):
        receptive_field([(3, 0)])


def test_the_module_has_a_kernel_and_a_bias_and_convolves(key):
    conv = Conv(4, (3, 3), stride=2, padding=1, groups=2, bias_init=jax.nn.initializers.ones)
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 4), np.float32)
    y, variables = jax.jit(conv.init_with_output)(key, x)
    params = variables["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == {"kernel": (3, 3, 2, 4), "bias": (4,)}
    expected = np.asarray(jax.jit(partial(convolve, stride=2, padding=1, groups=2))(x, params["kernel"])) + 1
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert set(jax.eval_shape(Conv(4, (3, 3), use_bias=False).init, key, x)["params"]) == {"kernel"}
    with pytest.raises(ValueError, match="got 3"):
        Conv(4, (3, 3), groups=3).init(key, x)


@pytest.mark.parametrize("form", ["lax", "band", "patches", "mixed"])
def test_empty_batches_and_numpy_integers_are_supported(form):
    def total(kernel):
        y = convolve(jnp.ones((0, 5, 5, 2)), kernel, stride=np.int64(2), padding=np.int64(1), form=form)
        return jnp.sum(y), y

    gradient, y = jax.jit(jax.grad(total, has_aux=True))(np.ones((3, 3, 2, 4), np.float32))
    assert y.shape == (0, 3, 3, 4)
    np.testing.assert_array_equal(gradient, np.zeros((3, 3, 2, 4)))
