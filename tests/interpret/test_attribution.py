"""Attribution: captum on networks of the same weights, hand computation, other kinds of modules, bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdl import interpret
from jaxdl.models.sequence.classifiers import RecurrentClassifier
from jaxdl.models.transformers.gpt import GPT
from jaxdl.nn import LSTM
from tests import peers
from tests.interpret import small

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
W1, w2 = np.array([[1.0, -2.0], [3.0, 1.0], [-1.0, -1.0]]), np.array([2.0, -1.0])
LAYERS = {"lenet": "m4", "vgg": "m3", "resnet": "m3"}
IN_FLOAT32 = ("occlusion", "channels", "integrated")
"""captum divides the sums of occlusion, and weights the steps of integrated gradients, in float32 for any input."""


def two_layers(x):
    return jax.nn.relu(x @ W1) @ w2


def ours(logits, layer, x):
    f, every = interpret.target_score(logits, 1), jnp.arange(3)
    return {
        "saliency": interpret.saliency(f, x),
        "input": interpret.gradient_times_input(f, x),
        "guided": interpret.guided_backpropagation(f, x),
        "deconvolution": interpret.deconvolution(f, x),
        "integrated": interpret.integrated_gradients(f, x, 0.1, 8, chunk_size=3),
        "occlusion": interpret.occlusion(f, x, (3, 2), (2, 1), 0.3, chunk_size=5),
        "channels": interpret.occlusion(f, x, (4, 4, 1), 4),
        "cam": interpret.grad_cam_map(f, x, layer),
        "grad_cam": interpret.grad_cam(f, x, layer),
        "guided_cam": interpret.guided_grad_cam(f, x, layer),
        "classes": jax.vmap(lambda k: interpret.gradient(interpret.target_score(logits, k), x))(every),
    }


def theirs(torch, captum, network, layer, images):
    x = torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    last = {"target": 1}
    cam = captum.LayerGradCam(network, network.get_submodule(layer)).attribute(x, 1, relu_attributions=True)
    fine = torch.nn.functional.interpolate(cam, (8, 8), mode="bilinear").expand(x.shape)
    guided = captum.GuidedBackprop(network).attribute(x, **last)
    integrated = captum.IntegratedGradients(network)
    attributions, delta = integrated.attribute(x, 0.1, **last, n_steps=8, return_convergence_delta=True)
    occlude = captum.Occlusion(network).attribute
    found = {
        "saliency": captum.Saliency(network).attribute(x, **last),
        "input": captum.InputXGradient(network).attribute(x, **last),
        "guided": guided,
        "deconvolution": captum.Deconvolution(network).attribute(x, **last),
        "occlusion": occlude(x, (2, 3, 2), (2, 2, 1), 0.3, **last),
        "channels": occlude(x, (1, 4, 4), (1, 4, 4), **last),
        "grad_cam": fine,
        "guided_cam": fine * guided,
        "classes": torch.stack([captum.Saliency(network).attribute(x, target=k, abs=False) for k in range(3)]),
        "integrated": attributions,
        "cam": cam,
    }
    found = {name: np.moveaxis(value.detach().numpy(), -3, -1) for name, value in found.items()}
    return found | {"cam": found["cam"][..., 0], "integrated": (found["integrated"], np.abs(delta.numpy()))}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", small.KINDS)
def test_attributions_equal_those_of_captum(kind):
    torch, captum = peers.torch(), pytest.importorskip("captum.attr", reason="parity with captum")
    network, x = small.torch_network(torch, kind), small.images()
    logits = small.function(network)
    close(jax.jit(logits)(x), network(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy())
    got = jax.jit(partial(ours, logits, LAYERS[kind]))(x)
    want = theirs(torch, captum, network, LAYERS[kind], x)
    assert got.keys() == want.keys()
    for name, value in got.items():
        scale = np.max(np.abs(jax.tree.leaves(want[name])[0]))
        atol = 3e-7 * scale if name in IN_FLOAT32 else 1e-12
        jax.tree.map(partial(close, err_msg=name, atol=atol), value, want[name])
    assert np.any(want["cam"] > 0)


def test_two_layers_by_hand():
    x = np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 0.5]])
    on = (x @ W1 > 0).astype(float)
    assert sorted(map(tuple, on)) == [(0, 1), (1, 0)]
    slope = (on * w2) @ W1.T
    close(interpret.gradient(two_layers, x), slope)
    close(interpret.saliency(two_layers, x), np.abs(slope))
    close(interpret.gradient_times_input(two_layers, x), x * slope)
    close(interpret.guided_backpropagation(two_layers, x), (on * np.maximum(w2, 0)) @ W1.T)
    close(interpret.deconvolution(two_layers, x), np.broadcast_to(np.maximum(w2, 0) @ W1.T, x.shape))
    # Without bias the network is linear along the line from zero, so that the path adds nothing.
    attributions, error = interpret.integrated_gradients(two_layers, x)
    close(attributions, x * slope)
    close(error, 0)
    score = np.maximum(x @ W1, 0) @ w2
    without = [np.maximum((x * (np.arange(3) != i)) @ W1, 0) @ w2 for i in range(3)]
    close(interpret.occlusion(two_layers, x, 1, 1), score[:, None] - np.stack(without, axis=1))


def test_smooth_grad_and_rise_equal_loops():
    x, key = small.images(), jax.random.key(0)
    weights = np.random.default_rng(1).normal(size=x.shape[1:])

    def f(x):
        return jnp.tanh(jnp.tensordot(x, weights, 3))

    @jax.jit
    def run(x):
        noise = jax.vmap(lambda key: jax.random.normal(key, x.shape, x.dtype))(jax.random.split(key, 5))
        smooth = interpret.smooth_grad(f, x, key, stddev=0.2, samples=5, chunk_size=2)
        return smooth, noise, interpret.rise(f, x, key, samples=7, grid=(2, 3), rate=0.25, chunk_size=3)

    def slope(x):
        return (1 - np.tanh(np.tensordot(x, weights, 3)) ** 2)[:, None, None, None] * weights

    smooth, noise, rise = run(x)
    close(smooth, np.mean([slope(x + 0.2 * e) for e in noise], axis=0))
    masks = np.stack([rise_mask(k, (2, 3), (8, 8), 0.75) for k in jax.random.split(key, 7)])[..., None]
    assert masks.min() < 0.2
    assert masks.max() > 0.8
    terms = [np.tanh(np.tensordot(m * x, weights, 3))[:, None, None, None] * m for m in masks]
    close(rise, np.broadcast_to(np.mean(terms, axis=0) / 0.75, x.shape))


def rise_mask(key, cells, size, visible):
    """Interpolate between the four corners around every point, by a loop."""
    first, second = jax.random.split(key)
    corners = np.asarray(jax.random.bernoulli(first, visible, (cells[0] + 2, cells[1] + 2)), float)
    shifts = np.asarray(jax.random.uniform(second, (2,), float))
    mask = np.zeros(size)
    for i, j in np.ndindex(size):
        (a, u), (b, v) = (divmod(n * c / s + t, 1) for n, c, s, t in zip((i, j), cells, size, shifts, strict=True))
        a, b = int(a), int(b)
        low, high = (corners[a + k, b] * (1 - v) + corners[a + k, b + 1] * v for k in (0, 1))
        mask[i, j] = low * (1 - u) + high * u
    return mask


def test_curves_replace_positions_in_the_order_of_importance():
    x, importance = small.images(), np.random.default_rng(2).normal(size=small.SHAPE)

    def f(x):
        return jnp.sum(x**2, axis=(1, 2, 3))

    curves = [interpret.deletion_curve, interpret.insertion_curve]
    got = jax.jit(lambda x: [curve(f, x, importance, steps=4, baseline=0.5) for curve in curves])(x)
    for b in range(2):
        order = np.argsort(-importance[b].sum(axis=-1).ravel())
        for step in range(5):
            deleted, inserted = x[b].reshape(64, 2).copy(), np.full((64, 2), 0.5)
            first = order[: 16 * step]
            deleted[first], inserted[first] = 0.5, deleted[first]
            close([got[0][step, b], got[1][step, b]], [np.sum(deleted**2), np.sum(inserted**2)])


RECTIFIERS = {
    "relu": (jax.nn.relu, 0),
    "relu6": (jax.nn.relu6, 0),
    "maximum": (lambda x: jnp.maximum(0.0, x), 0),
    "clip": (lambda x: jnp.clip(x, 0), 0),
    "where": (lambda x: jnp.where(x > 0, x, 0.0), 0),
    "where not": (lambda x: jnp.where(x <= 0, jnp.zeros_like(x), x), 0),
    "times": (lambda x: x * (x > 0), 0),
    "leaky": (jax.nn.leaky_relu, 0.01),
    "sloped": (lambda x: jnp.where(x > 0, x, 0.25 * x), 0.25),
    "jit": (jax.jit(jax.nn.relu), 0),
    "remat": (jax.checkpoint(jax.nn.relu), 0),
    "cond": (lambda x: jax.lax.cond(x[0, 0] > -9, jax.nn.relu, jnp.negative, x), 0),
    "scan": (lambda x: jax.lax.scan(lambda c, x: (c, jax.nn.relu(x)), 0, x)[1], 0),
    "vmap": (jax.vmap(jax.vmap(jax.nn.relu)), 0),
}
TO_RECTIFY = np.array([[1.0, 2.0, -1.0, -3.0]])
OUTGOING = np.array([1.0, -1.0, 1.0, -1.0])


@jax.custom_vjp
def wrapped(x):
    return jax.nn.relu(x)


wrapped.defvjp(lambda x: (jax.nn.relu(x), None), lambda _, y_bar: (99 * y_bar,))
RECTIFIERS["custom_vjp"] = wrapped, 0


def test_every_form_of_a_rectified_unit_is_found():
    @jax.jit
    def run(x):
        rules = interpret.guided_backpropagation, interpret.deconvolution
        return {
            name: [rule(lambda x, g=g: g(x) @ OUTGOING, x) for rule in rules] for name, (g, _) in RECTIFIERS.items()
        }

    for name, (guided, deconvolution) in run(TO_RECTIFY).items():
        slope = np.array([1, 1, RECTIFIERS[name][1], RECTIFIERS[name][1]])
        close(guided, [slope * np.maximum(OUTGOING, 0)], err_msg=name)
        close(deconvolution, [np.maximum(OUTGOING, 0)], err_msg=name)


def test_the_values_of_a_modified_function_are_its_own():
    def f(x):
        count = jax.lax.while_loop(lambda c: c < 3, lambda c: c + jnp.maximum(x[0, 0], 0.0), 0.0)
        return jnp.exp(jax.nn.relu(x)) * count

    modified = interpret.modify_rectifiers(f, interpret.guided_rule)
    x = np.array([[1.0, 0.0, -1.0, np.inf, -np.inf, np.nan]])
    close(*jax.jit(lambda x: (modified(x), f(x)))(x))


def test_without_a_rectified_unit_there_is_no_rule():
    from jaxdl.nn import layer_norm

    with pytest.raises(ValueError, match="saliency"):
        interpret.guided_backpropagation(lambda x: jnp.sum(layer_norm(jnp.tanh(x)), axis=1), small.images()[:, 0, 0])


X = np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 0.5]])


@partial(jax.jit, static_argnums=0)
def explain(f, x):
    attributions, _ = interpret.integrated_gradients(f, x, steps=3)
    return interpret.guided_backpropagation(f, x), attributions, interpret.occlusion(f, x, 1, 1)


def test_one_example_at_a_time_and_modules_of_nnx():
    linear = partial(nnx.Linear, use_bias=False, param_dtype=float, rngs=nnx.Rngs(0))
    first, second = (linear(*w.shape) for w in (W1, w2[:, None]))
    first.kernel[...], second.kernel[...] = W1, w2[:, None]
    want = explain(two_layers, X)
    jax.tree.map(close, explain(lambda x: second(jax.nn.relu(first(x)))[:, 0], X), want)
    jax.tree.map(close, jax.jit(jax.vmap(partial(explain, lambda x: two_layers(x[None])[0])))(X), want)


def test_modules_of_equinox():
    equinox = pytest.importorskip("equinox", reason="modules of equinox")
    layers = [equinox.nn.Linear(*w.shape, use_bias=False, key=jax.random.key(0)) for w in (W1, w2[:, None])]
    first, second = (
        equinox.tree_at(lambda layer: layer.weight, layer, jnp.asarray(w.T))
        for layer, w in zip(layers, (W1, w2[:, None]), strict=True)
    )
    mlp = equinox.nn.Sequential([first, equinox.nn.Lambda(jax.nn.relu), second])
    jax.tree.map(close, explain(lambda x: equinox.filter_vmap(mlp)(x)[:, 0], X), explain(two_layers, X))


def test_tokens_of_recurrent_networks_and_transformers():
    tokens = np.random.default_rng(0).integers(1, 7, (2, 5))
    lstm = RecurrentClassifier(vocab_size=7, num_classes=3, embedding_dim=4, cell=LSTM(5))
    gpt = GPT(7, 5, num_layers=1, num_heads=2, d_model=4)
    rng = np.random.default_rng(1)
    for model, layer in ((lstm, "embedding"), (gpt, "embedded")):
        shapes = jax.eval_shape(model.init, jax.random.key(0), tokens)
        variables = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 2), shapes)

        def f(tokens, model=model, variables=variables):
            return model.apply(variables, tokens).reshape(2, -1)[:, -2]

        @jax.jit
        def run(tokens, f=f, layer=layer):
            difference = f(tokens) - f(jnp.zeros_like(tokens))
            return *interpret.attribute_tokens(f, tokens, layer, 0), difference

        attributions, error, difference = run(tokens)
        assert attributions.shape == tokens.shape
        assert np.all(error < 1e-3)
        close(np.sum(attributions, axis=1), difference, atol=1e-3, rtol=0)
        assert np.all(np.abs(attributions).max(axis=1) > 0.01)


def test_half_precision_integers_and_single_examples():
    x = np.array([[1.0, 1.0, 1.0]])
    methods = interpret.saliency, interpret.deconvolution, partial(interpret.occlusion, window=1, stride=1)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        f = lambda x: jax.nn.relu(x @ jnp.asarray(W1, x.dtype)) @ jnp.asarray(w2, x.dtype)  # noqa: E731
        made = jax.eval_shape(lambda x, f=f: [method(f, x) for method in methods], jax.ShapeDtypeStruct((2, 3), dtype))
        assert {(attributions.shape, attributions.dtype) for attributions in made} == {((2, 3), jnp.dtype(dtype))}
    with pytest.raises(TypeError, match="got int"):
        interpret.saliency(two_layers, x.astype(int))
    attributions, error = interpret.integrated_gradients(lambda x: two_layers(x[None])[0], x[0])
    assert attributions.shape == (3,)
    assert error.shape == ()
    assert interpret.gradient(two_layers, x[:0]).shape == (0, 3)


def test_bad_input_is_one_error_each():
    x, f = small.images(), partial(jnp.sum, axis=(1, 2, 3))
    cases = [
        (r"got \(2, 8\)", lambda: interpret.saliency(lambda x: jnp.sum(x, axis=(1, 3)), x)),
        (r"got \(\(2,\), \(2,\)\)", lambda: interpret.saliency(lambda x: (f(x), f(x)), x)),
        ("got bool", lambda: interpret.saliency(lambda x: f(x) > 0, x)),
        ("in 0 .. 7, got 8", lambda: interpret.saliency(interpret.target_score(lambda x: x[:, :, 0, 0], 8), x)),
        ("got -1", lambda: interpret.saliency(interpret.target_score(lambda x: x[:, :, 0, 0], -1), x)),
        (r"of \(3,\)", lambda: interpret.saliency(interpret.target_score(lambda x: x[:, :, 0, 0], np.arange(3)), x)),
        (r"got \(9, 1, 2\)", lambda: interpret.occlusion(f, x, (9, 1), 1)),
        (r"got \(3, 3, 2\)", lambda: interpret.occlusion(f, x, 2, 3)),
        ("got 0", lambda: interpret.occlusion(f, x, 2, 0)),
        (r"got \(2,\)", lambda: interpret.occlusion(f, x, (2,), 1)),
        (r"got \(3,\)", lambda: interpret.occlusion(f, x, 2, 1, np.zeros(3))),
        (r"got \(3,\)", lambda: interpret.integrated_gradients(f, x, np.zeros(3))),
        ("got 0", lambda: interpret.integrated_gradients(f, x, steps=0)),
        ("got 0", lambda: interpret.smooth_grad(f, x, jax.random.key(0), samples=0)),
        ("got -1", lambda: interpret.smooth_grad(f, x, jax.random.key(0), stddev=-1)),
        ("got 1", lambda: interpret.rise(f, x, jax.random.key(0), rate=1.0)),
        (r"got \(2, 8\)", lambda: interpret.deletion_curve(f, x, x[:, :, 0, 0])),
        ("got 'conv'", lambda: interpret.grad_cam(f, x, "conv")),
    ]
    for match, call in cases:
        with pytest.raises(ValueError, match=match):
            call()


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int32])
def test_importance_may_be_integers(dtype):
    x = np.array([[1.0, 4.0, 2.0]], np.float32)
    found = interpret.deletion_curve(lambda x: jnp.sum(x, axis=1), x, np.array([[0, 1, 1]], dtype), steps=3)
    assert found[:, 0].tolist() == [7, 3, 1, 0]
