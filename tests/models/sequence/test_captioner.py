"""Captioners: the decoder on the features of an image, how it sees them, and the penalty of attention."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import decode, nn, tasks
from jaxdl.models import Captioner, step_function
from jaxdl.models.sequence import ImageEncoder, Memory
from jaxdl.nn.recurrent.cells import GRU
from tests.variables import draw

rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(2, 4, 4, 2)).astype(np.float32)
TARGET = np.array([[3, 4, 1, 0], [5, 1, 0, 0]])
BATCH = {"source": IMAGES, "target": TARGET, "target_length": np.array([3, 2])}


class Halved(linen.Module):
    """A convolution over patches of 2 x 2 pixels."""

    @linen.compact
    def __call__(self, x, train=False):
        return linen.Conv(3, (2, 2), (2, 2))(x)


MODEL = Captioner(7, Halved(), GRU(4), 3)


def test_the_memory_has_a_state_for_each_position():
    encoder = ImageEncoder(Halved())
    variables = draw(encoder.init, jax.random.key(0), IMAGES)
    kernel, bias = (variables["params"]["network"]["Conv_0"][name] for name in ("kernel", "bias"))
    memory = encoder.apply(variables, IMAGES)
    patches = IMAGES.reshape(2, 2, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 4, 8)
    np.testing.assert_allclose(memory.states, patches @ kernel.reshape(8, 3) + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(memory.summary, memory.states.mean(axis=1), rtol=1e-4, atol=1e-6)
    given = ImageEncoder().apply({}, memory.states)
    jax.tree.map(np.testing.assert_array_equal, given, memory)
    assert isinstance(given, Memory)


@pytest.mark.parametrize("context", ["initial", "every_step", "attention"])
def test_captions_depend_on_what_the_context_sees(context):
    model = MODEL.clone(context=context)
    variables = jax.tree.map(lambda x: 2 * x, draw(model.init, jax.random.key(0), IMAGES, TARGET))

    @jax.jit
    def run(images):
        step_fn = step_function(model, variables)
        carry = model.apply(variables, images, method="init_carry")
        tokens = decode.greedy(step_fn, carry, jnp.array([2, 2]), max_length=4).tokens
        target_in = jnp.concatenate([jnp.full((2, 1), 2), tokens[:, :-1]], axis=1)
        logits = model.apply(variables, images, target_in)
        return tokens, logits

    tokens, logits = run(IMAGES)
    np.testing.assert_array_equal(tokens, np.argmax(logits, axis=-1))
    # Patches in another order: the mean does not change, nor does attention, which is blind to positions.
    moved = np.roll(IMAGES, 2, axis=1)
    np.testing.assert_allclose(run(moved)[1], logits, rtol=1e-4, atol=1e-5)
    assert np.abs(run(IMAGES[::-1].copy())[1] - logits[::-1]).max() < 1e-4
    assert np.abs(run(2 * IMAGES)[1] - logits).max() > 1e-3


@pytest.mark.usefixtures("float64")
def test_the_penalty_of_attention_is_that_of_a_loop_and_is_added_to_the_loss():
    model = MODEL.clone()
    variables = draw(model.init, jax.random.key(0), IMAGES, TARGET)
    weight = 0.3

    @partial(jax.jit, static_argnums=0)
    def run(weight, batch):
        return tasks.translation(model, bos_id=2, attention_weight=weight).loss(variables, batch, jax.random.key(0))[0]

    target_in = tasks.shift_right(TARGET, 2)
    _, out = jax.jit(partial(model.apply, return_intermediates=True))(variables, IMAGES, target_in)
    expected = 0.0
    for weights, length in zip(np.asarray(out["attention"]), BATCH["target_length"], strict=True):
        for position in range(4):
            expected += (1 - sum(weights[t, position] for t in range(length))) ** 2
    penalty = nn.attention_penalty(out["attention"], np.arange(4) < BATCH["target_length"][:, None])
    np.testing.assert_allclose(np.sum(penalty), expected, rtol=1e-6)
    difference = run(weight, BATCH) - run(0.0, BATCH)
    np.testing.assert_allclose(difference, weight * expected / 5, rtol=1e-5)
    filled = {name: np.concatenate([array, array]) for name, array in BATCH.items()} | {"mask": np.repeat([1.0, 0], 2)}
    np.testing.assert_allclose(run(weight, filled), run(weight, BATCH), rtol=1e-6)


@pytest.mark.parametrize(
    ("source", "lengths", "got"),
    [(IMAGES, np.array([1, 2]), "got lengths"), (np.zeros((2, 3), float), None, r"got \(2, 3\)")],
)
def test_other_sources_are_errors(source, lengths, got):
    with pytest.raises(ValueError, match=got):
        jax.eval_shape(ImageEncoder().init, jax.random.key(0), source, lengths)
