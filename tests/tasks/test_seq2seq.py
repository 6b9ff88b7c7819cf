"""The translation task: only valid tokens count, and exact matches are those of greedy decoding."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import decode, losses, train
from jaxdl.models.sequence.encoder_decoder import EncoderDecoder
from jaxdl.nn.recurrent.cells import GRU
from jaxdl.tasks.seq2seq import shift_right, translation

close = partial(np.testing.assert_allclose, rtol=1e-5)
BOS, EOS, V = 2, 3, 6
LENGTHS = np.array([4, 2, 3])
TARGET = np.array([[4, 5, 5, 3], [5, 3, -1, 9], [4, 4, 3, -1]])
BATCH = {"source": np.array([[1, 2], [3, 0], [1, 1]]), "source_length": np.array([2, 1, 2])}
BATCH |= {"target": TARGET, "target_length": LENGTHS}
VALID = np.arange(4) < LENGTHS[:, None]


class Lookup(nn.Module):
    """Logits from the previous token and the mean of the source's tokens."""

    @nn.compact
    def __call__(self, source, target_in, source_lengths=None, train=False):
        """Compute the logits."""
        mask = jnp.arange(source.shape[1])[None] < source_lengths[:, None]
        mean = jnp.sum(jnp.where(mask, source, 0), axis=1) / source_lengths
        return nn.Embed(V, V, name="table")(target_in) + jnp.sin(mean[:, None, None] * jnp.arange(V)[None, None])


def draw():
    return {"params": {"table": {"embedding": np.random.default_rng(0).normal(size=(V, V)).astype(np.float32)}}}


def logits_of(variables, read):
    mean = np.array([1.5, 3.0, 1.0])[:, None, None]
    return variables["params"]["table"]["embedding"][read] + np.sin(mean * np.arange(V)).astype(np.float32)


def test_valid_tokens_count_with_the_weight_of_their_example(key):
    task, variables = translation(Lookup(), bos_id=BOS, label_smoothing=0.1), draw()
    read = np.array([[2, 4, 5, 5], [2, 5, 0, 0], [2, 4, 4, 0]])
    logits = logits_of(variables, read)[VALID]
    batch = {**BATCH, "mask": np.array([1.0, 0.0, 0.5])}
    weight = np.broadcast_to(batch["mask"][:, None], VALID.shape)[VALID]
    cross_entropy = jax.jit(losses.cross_entropy, static_argnames=("label_smoothing", "reduction"))
    each = partial(cross_entropy, logits, TARGET[VALID], reduction="none")
    (value, (_, reported)), gradient = jax.jit(jax.value_and_grad(lambda v: task.loss(v, batch, key), has_aux=True))(
        variables
    )
    close(value, np.average(each(label_smoothing=0.1), weights=weight))
    right = logits.argmax(-1) == TARGET[VALID]
    close(reported["accuracy"], np.average(right, weights=weight))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    found = train.make_evaluation(task.measure, BATCH, batch_size=2)(variables)
    close(found["loss"], np.mean(each()))
    close(found["perplexity"], np.exp(np.mean(each())))
    close(found["accuracy"], np.mean(right))
    assert jax.tree.map(jnp.shape, jax.eval_shape(task.init, key, batch)) == jax.tree.map(jnp.shape, variables)


def test_exact_match_agrees_with_greedy_decoding(key):
    task, variables = translation(Lookup(), bos_id=BOS), draw()

    def step(mean, token):
        return mean, jnp.asarray(variables["params"]["table"]["embedding"])[token] + jnp.sin(
            mean[:, None] * jnp.arange(V)[None]
        )

    own = jax.jit(lambda: decode.greedy(step, jnp.array([1.5, 3.0, 1.0]), jnp.full(3, BOS), max_length=4, eos_id=EOS))()
    target = np.array(own.tokens)
    measure = jax.jit(task.measure)
    batch = {**BATCH, "target": target, "target_length": own.lengths}
    assert measure(variables, batch)["exact_match"].value == 1
    target[1, 0] = (target[1, 0] + 1) % V
    found = measure(variables, {**batch, "target": target})["exact_match"]
    close(found.value, 2 / 3)
    assert measure(variables, {**batch, "target": target, "mask": np.array([1.0, 0, 0])})["exact_match"].value == 1


def test_the_decoder_input_is_the_target_shifted_right():
    np.testing.assert_array_equal(shift_right(TARGET, BOS)[:, 1:], TARGET[:, :-1])
    assert (shift_right(TARGET, BOS)[:, 0] == BOS).all()


def test_rows_that_fill_up_a_batch_may_hold_anything_in_evaluation_too():
    model = EncoderDecoder(V, V, GRU(4), embedding_dim=4)
    task = translation(model, bos_id=BOS)
    batch = {name: np.concatenate([array, array[:1]]) for name, array in BATCH.items()}
    batch |= {"source": batch["source"].copy(), "mask": np.array([1, 1, 1, 0])}
    batch["source"][-1] = -100
    variables = task.init(jax.random.key(0), BATCH)
    found, expected = (jax.tree.map(float, task.measure(variables, part)) for part in (batch, BATCH))
    assert found["loss"].value == expected["loss"].value
