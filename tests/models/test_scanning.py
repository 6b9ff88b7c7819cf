"""Scanned blocks compute what the same blocks do one after the other, and their variables turn into each other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from jaxdl import tree
from jaxdl.models.scanning import scan_blocks, stack_blocks, unstack_blocks
from jaxdl.models.vision.resnet import ResNet
from jaxdl.nn.noise import Dropout


@pytest.fixture(scope="module")
def networks():
    """A stage of one block and one of three: (unrolled, scanned), and variables of the first form."""
    unrolled = ResNet(num_classes=3, depths=(1, 3), widths=(2, 3), stem="cifar")
    forms = jax.eval_shape(unrolled.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
    random = np.random.RandomState(0)
    variables = jax.tree.map(lambda leaf: 0.5 + 0.3 * random.standard_normal(leaf.shape), forms)
    return (unrolled, unrolled.clone(scan_blocks=True)), variables


@pytest.mark.usefixtures("float64")
def test_outputs_features_gradients_and_statistics_are_the_same(networks):
    (unrolled, scanned), variables = networks
    x = np.random.RandomState(1).standard_normal((3, 4, 4, 3))

    def run(model):
        @jax.jit
        def of(variables, x):
            def loss(params):
                (logits, features), state = model.apply(
                    {**variables, "params": params}, x, train=True, return_intermediates=True, mutable=["batch_stats"]
                )
                return jnp.sum(jnp.sin(logits)), (logits, features, state)

            evaluated = model.apply(variables, x)
            return evaluated, jax.grad(loss, has_aux=True)(variables["params"])

        return of

    plain, (plain_gradient, (*plain_rest, plain_state)) = run(unrolled)(variables, x)
    fast, (gradient, (*rest, state)) = run(scanned)(stack_blocks(variables), x)
    assert gradient["stage2_blocks"]["conv1"]["kernel"].shape == (2, 3, 3, 3, 3)
    expected = (plain, plain_rest, plain_gradient, plain_state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
        (fast, rest, *unstack_blocks((gradient, state))),
        expected,
    )
    assert "stage2_block3" in rest[1]


@pytest.mark.usefixtures("float64")
def test_the_scanned_form_has_the_stacked_variables_and_they_turn_back(networks):
    (_, scanned), variables = networks
    forms = jax.eval_shape(scanned.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
    stacked = stack_blocks(variables)
    assert jax.tree.map(jnp.shape, stacked) == jax.tree.map(jnp.shape, forms)
    jax.tree.map(np.testing.assert_array_equal, unstack_blocks(stacked), variables)


def test_every_scanned_block_draws_its_own_numbers(key):
    class Noisy(linen.Module):
        @linen.compact
        def __call__(self, x, train=False):
            return Dropout(0.5)(linen.Dense(20, name="dense")(x), train=train)

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x, train=False):
            return scan_blocks(Noisy(name="a_blocks"), 2, x, train, outputs=True)[1]

    x = np.ones((1, 20), np.float32)
    outputs, variables = jax.jit(Model().init_with_output, static_argnames="train")(key, x, train=True)
    kernel = variables["params"]["a_blocks"]["dense"]["kernel"]
    assert kernel.shape == (2, 20, 20)
    assert not np.any(kernel[0] == kernel[1])
    assert np.any((outputs[0] == 0) != (outputs[1] == 0))


def test_the_state_of_an_optimizer_is_stacked_like_the_parameters(networks):
    _, variables = networks
    params = jax.tree.map(jnp.float32, variables["params"])
    optimizer = optax.adam(1e-3)
    state = stack_blocks(optimizer.init(params))
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, optimizer.init(stack_blocks(params)))
    assert jax.tree.structure(unstack_blocks(state)) == jax.tree.structure(optimizer.init(params))
    assert tree.size(state) == tree.size(optimizer.init(params))


@pytest.mark.parametrize(
    ("convert", "variables", "message"),
    [
        (stack_blocks, {"a_block2": {"w": 1.0}, "a_block4": {"w": 1.0}}, r"without gaps, got \[2, 4\]"),
        (stack_blocks, {"a_block2": {"w": np.ones(2)}, "a_block3": {"w": np.ones(3)}}, "equal shapes, got"),
        (stack_blocks, {"a_block2": {"w": 1.0}, "a_block3": {"v": 1.0}}, "equal shapes, got"),
        (unstack_blocks, {"a_blocks": {"v": np.ones(2), "w": np.ones(3)}}, r"one leading dimension, got \[2, 3\]"),
        (unstack_blocks, {"a_blocks": {"v": np.ones(())}}, "one leading dimension"),
    ],
)
def test_what_does_not_stack_is_refused(convert, variables, message):
    with pytest.raises(ValueError, match=message):
        convert({"params": variables})
