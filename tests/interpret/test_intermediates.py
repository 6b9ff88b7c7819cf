"""Named intermediates: a function read and replaced piece by piece, in every construct and kind of module."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from jaxdl import interpret, models

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
X = np.random.default_rng(0).normal(size=(3, 4))


@jax.custom_jvp
def squared(x):
    return checkpoint_name(x * x, "squared")


squared.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))


@jax.custom_vjp
def cubed(x):
    return checkpoint_name(x * x * x, "cubed")


cubed.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x * x * g,))


def nested(x):
    """Tag within each construct that the evaluator enters."""
    x = jax.jit(lambda x: checkpoint_name(2 * x, "jit"))(x)
    x = jax.checkpoint(lambda x: checkpoint_name(jnp.sin(x), "remat"))(x)
    x = cubed(squared(x) + 1)
    c, _ = jax.lax.scan(lambda c, x: (checkpoint_name(c + x, "scan"), c), x[0], x)
    branches = lambda c: checkpoint_name(3 * c, "taken"), lambda c: checkpoint_name(c, "skipped")
    c = jax.lax.cond(jnp.sum(c) < jnp.inf, *branches, c)
    step = lambda s: (s[0] + 1, checkpoint_name(s[1] / 2, "while"))  # noqa: E731
    c = c * jax.lax.while_loop(lambda s: s[0] < 2, step, (0, 1.0))[1]
    y = jax.vmap(lambda c: checkpoint_name(c + 1, "vmap"))(c)
    return checkpoint_name(jnp.sum(checkpoint_name(y, "twice") * y), "twice")


def by_hand(x):
    jit = 2 * x
    remat = np.sin(jit)
    squared = remat**2
    cubed = (squared + 1) ** 3
    scan = cubed[0] + np.cumsum(cubed, axis=0)
    vmap = 3 * scan[-1] / 4 + 1
    values = {"jit": jit, "remat": remat, "squared": squared, "cubed": cubed, "scan": scan, "taken": 3 * scan[-1]}
    return values | {"skipped": np.zeros(4), "vmap": vmap, "twice[0]": vmap, "twice[1]": np.sum(vmap**2)}


def test_reading_equals_the_loop_by_hand_under_every_transformation():
    want = by_hand(X)
    assert sorted(interpret.names(nested, X)) == sorted(want)
    y, layers = jax.jit(interpret.read(nested, *want))(X)
    close(y, want["twice[1]"])
    jax.tree.map(close, layers, want)
    many = jax.jit(jax.vmap(interpret.read(nested, "scan")))(np.stack([X, -X]))[1]["scan"]
    close(many[1], by_hand(-X)["scan"])


def test_replacing_restarts_the_function_there():
    want = by_hand(X)
    last = want["vmap"]
    slopes = {"vmap": 2 * last, "twice[0]": last, "twice[1]": 1.0, "taken": last / 2, "skipped": np.zeros(4)}
    slopes["scan"] = np.zeros((3, 4))
    slopes["scan"][-1] = 1.5 * last
    slopes["cubed"] = np.array([[2], [1], [1]]) * 1.5 * last

    @jax.jit
    def run(values, x):
        return {name: jax.value_and_grad(interpret.replace(nested, name))(values[name], x) for name in slopes}

    for name, (y, slope) in run({name: want[name] for name in slopes}, X).items():
        close(y, want["twice[1]"])
        close(slope, slopes[name], err_msg=name)


def test_gradients_pass_through_what_is_read():
    def second_output(x):
        return jnp.sum(interpret.read(nested, "squared")(x)[1]["squared"])

    @jax.jit
    def run(x):
        return jax.grad(second_output)(x), jax.grad(interpret.replace(nested, "vmap"), 1)(x[0], x)

    got, severed = run(X)
    close(got, 2 * np.sin(4 * X))
    close(severed, 0)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"got 'scann'; did you mean 'scan'"):
        interpret.read(nested, "scann")(X)
    with pytest.raises(ValueError, match=r"got 'twice'; did you mean 'twice\["):
        interpret.replace(nested, "twice")(X, X)
    with pytest.raises(ValueError, match="got 'while'"):
        interpret.read(nested, "while")(X)
    with pytest.raises(ValueError, match="checkpoint_name"):
        interpret.read(jnp.sin, "conv1")(X)
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        interpret.replace(nested, "jit")(X[0], X)


def test_models_tag_what_they_return():
    """A table of models: each intermediate that is an array of the flow is read under its name, with equal values."""
    cases = {
        "lenet5": (models.create("lenet5"), jnp.zeros((1, 28, 28, 1))),
        "resnet20": (models.create("resnet20", depths=(1, 1), widths=(4, 8)), jnp.zeros((1, 8, 8, 3))),
        "gpt": (models.transformers.gpt.GPT(7, 5, num_layers=2, num_heads=1, d_model=4), jnp.zeros((1, 5), int)),
    }
    for model, x in cases.values():
        variables = jax.eval_shape(model.init, jax.random.key(0), x)
        _, out = jax.eval_shape(partial(model.apply, return_intermediates=True), variables, x)
        flow = {name: value for name, value in out.items() if "attention" not in name}
        names = interpret.names(model.apply, variables, x)
        inside = [name for name in names if name.partition("[")[0] in ("attention_output", "mlp_hidden")]
        assert set(names) - set(inside) == set(flow)
        assert len(inside) == 2 * sum("decoder_block" in name for name in flow)
        _, layers = jax.eval_shape(interpret.read(model.apply, *flow), variables, x)
        assert layers == flow


def test_modules_of_nnx_are_functions_as_well():
    class Net(nnx.Module):
        def __init__(self):
            self.first, self.second = (nnx.Linear(4, n, rngs=nnx.Rngs(0)) for n in (4, 1))

        def __call__(self, x):
            return self.second(checkpoint_name(jnp.tanh(self.first(x)), "hidden"))

    net = Net()
    hidden = interpret.read(net, "hidden")(X)[1]["hidden"]
    close(hidden, np.tanh(X @ np.asarray(net.first.kernel[...]) + np.asarray(net.first.bias[...])))
    close(interpret.replace(net, "hidden")(np.zeros((3, 4)), X), np.zeros((3, 1)))
