"""Sequence to sequence: only true tokens count, and exact matches are what greedy decoding says."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import decode, losses, train
from jaxdl.tasks.seq2seq import shift, translation

close = partial(np.testing.assert_allclose, rtol=1e-5)
BEGIN, END, V = 2, 3, 6
LENGTHS = np.array([4, 2, 3])
TARGET = np.array([[4, 5, 5, 3], [5, 3, -1, 9], [4, 4, 3, -1]])
BATCH = {"source": np.array([[1, 2], [3, 0], [1, 1]]), "source_length": np.array([2, 1, 2])}
BATCH |= {"target": TARGET, "target_length": LENGTHS}
TRUE = np.arange(4) < LENGTHS[:, None]


class Lookup(nn.Module):
    """Logits from the token before and the mean of the source's tokens."""

    @nn.compact
    def __call__(self, source, target_in, source_lengths=None, train=False):
        """Return the logits."""
        keep = jnp.arange(source.shape[1])[None] < source_lengths[:, None]
        mean = jnp.sum(jnp.where(keep, source, 0), axis=1) / source_lengths
        return nn.Embed(V, V, name="table")(target_in) + jnp.sin(mean[:, None, None] * jnp.arange(V)[None, None])


def draw():
    return {"params": {"table": {"embedding": np.random.default_rng(0).normal(size=(V, V)).astype(np.float32)}}}


def logits_of(variables, read):
    mean = np.array([1.5, 3.0, 1.0])[:, None, None]
    return variables["params"]["table"]["embedding"][read] + np.sin(mean * np.arange(V)).astype(np.float32)


def test_true_tokens_count_with_the_weight_of_their_sentence(key):
    task, variables = translation(Lookup(), begin=BEGIN, label_smoothing=0.1), draw()
    read = np.array([[2, 4, 5, 5], [2, 5, 0, 0], [2, 4, 4, 0]])
    logits = logits_of(variables, read)[TRUE]
    batch = {**BATCH, "mask": np.array([1.0, 0.0, 0.5])}
    weight = np.broadcast_to(batch["mask"][:, None], TRUE.shape)[TRUE]
    each = partial(losses.cross_entropy, logits, TARGET[TRUE], reduction="none")
    (value, (_, reported)), gradient = jax.jit(jax.value_and_grad(lambda v: task.loss(v, batch, key), has_aux=True))(
        variables
    )
    close(value, np.average(each(label_smoothing=0.1), weights=weight))
    right = logits.argmax(-1) == TARGET[TRUE]
    close(reported["accuracy"], np.average(right, weights=weight))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    found = train.make_evaluation(task.measure, BATCH, batch_size=2)(variables)
    close(found["loss"], np.mean(each()))
    close(found["perplexity"], np.exp(np.mean(each())))
    close(found["accuracy"], np.mean(right))
    assert jax.tree.map(jnp.shape, task.init(key, batch)) == jax.tree.map(jnp.shape, variables)


def test_an_exact_match_is_what_greedy_decoding_says(key):
    task, variables = translation(Lookup(), begin=BEGIN), draw()

    def step(mean, token):
        return mean, jnp.asarray(variables["params"]["table"]["embedding"])[token] + jnp.sin(
            mean[:, None] * jnp.arange(V)[None]
        )

    own = jax.jit(lambda: decode.greedy(step, jnp.array([1.5, 3.0, 1.0]), jnp.full(3, BEGIN), length=4, end=END))()
    target = np.array(own.tokens)
    measure = jax.jit(task.measure)
    batch = {**BATCH, "target": target, "target_length": own.lengths}
    assert measure(variables, batch)["exact_match"].value == 1
    target[1, 0] = (target[1, 0] + 1) % V
    found = measure(variables, {**batch, "target": target})["exact_match"]
    close(found.value, 2 / 3)
    assert measure(variables, {**batch, "target": target, "mask": np.array([1.0, 0, 0])})["exact_match"].value == 1


def test_the_target_is_read_one_place_behind():
    np.testing.assert_array_equal(shift(TARGET, BEGIN)[:, 1:], TARGET[:, :-1])
    assert (shift(TARGET, BEGIN)[:, 0] == BEGIN).all()
