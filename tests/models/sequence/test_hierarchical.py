"""Hierarchical networks against loops over sentences in float64, and padding of both kinds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.models.sequence.hierarchical import HierarchicalAttentionNetwork, HierarchicalEncoderDecoder
from jaxdl.nn.recurrent.cells import GRU, Vanilla

V, E, H, A, K = 7, 3, 2, 4, 3
WORDS = np.array([[[1, 2, 3, 0], [4, 5, 0, 0], [6, 6, 1, 2]], [[3, 0, 0, 0], [2, 4, 1, 0], [0, 0, 0, 0]]], np.int32)
LENGTHS = np.array([[3, 2, 4], [1, 3, 0]], np.int32)
LABELS = np.array([2, 0], np.int32)
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
MODEL = HierarchicalAttentionNetwork(V, K, E, GRU(H), Vanilla(3), attention_dim=A)


def random_variables():
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), WORDS, LENGTHS)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)


@jax.jit
def run(variables, words, lengths):
    def loss(variables):
        logits, intermediates = MODEL.apply(variables, words, lengths, return_intermediates=True)
        return losses.cross_entropy(logits, LABELS), (logits, intermediates)

    return jax.grad(loss, has_aux=True)(variables)


@partial(jax.jit, static_argnums=0)
def step_of(cell, parameters, carry, x):
    return cell(parameters, carry, x)


def bidirectional(cell, parameters, xs):
    def forward(own, xs):
        carry, ys = cell.init_carry((), jnp.float64), []
        for x in xs:
            carry, y = step_of(cell, own, carry, x)
            ys.append(np.asarray(y))
        return ys

    own = parameters["layer0"]
    there, back = forward(own["forward"], xs), forward(own["backward"], xs[::-1])[::-1]
    return [np.concatenate(pair) for pair in zip(there, back, strict=True)]


def pool_by_hand(p, states):
    powers = [np.exp(np.tanh(h @ p["hidden"]["kernel"] + p["hidden"]["bias"]) @ p["vector"]) for h in states]
    weights = np.array(powers) / sum(powers)
    return sum(a * h for a, h in zip(weights, states, strict=True)), weights


@pytest.mark.usefixtures("float64")
def test_documents_match_loops_and_padding_of_both_kinds_changes_nothing():
    variables = random_variables()
    p = variables["params"]
    gradient, (logits, intermediates) = jax.device_get(run(variables, WORDS, LENGTHS))
    for row in range(2):
        sentences = []
        for n, length in enumerate(LENGTHS[row]):
            if not length:
                assert not np.any(intermediates["word_attention"][row, n])
                continue
            states = bidirectional(GRU(H), p["words"], list(p["embedding"]["embedding"][WORDS[row, n, :length]]))
            sentence, weights = pool_by_hand(p["word_attention"], states)
            close(intermediates["word_attention"][row, n, :length], weights)
            sentences.append(sentence)
        document, weights = pool_by_hand(p["sentence_attention"], bidirectional(Vanilla(3), p["sentences"], sentences))
        close(intermediates["sentence_attention"][row, : len(weights)], weights)
        close(logits[row], document @ p["output"]["kernel"] + p["output"]["bias"])
    assert intermediates["sentence_attention"][1, 2] == 0
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    junk = np.where(np.arange(4) < LENGTHS[..., None], WORDS, 5)
    longer = np.pad(junk, ((0, 0), (0, 1), (0, 2)), constant_values=3)
    other_gradient, (other, _) = run(variables, longer, np.pad(LENGTHS, ((0, 0), (0, 1))))
    close(other, logits)
    jax.tree.map(close, other_gradient, gradient)


@pytest.mark.usefixtures("float64")
def test_the_memory_of_a_dialogue_matches_a_loop():
    rng, answer = np.random.default_rng(0), np.array([[1, 4], [2, 3]])
    model = HierarchicalEncoderDecoder(V, V, GRU(H), embedding_dim=E, context="attention")
    variables = jax.eval_shape(model.init, jax.random.key(0), WORDS, answer, LENGTHS)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), variables)
    run = jax.jit(lambda words, lengths: model.apply(variables, words, answer, lengths, return_intermediates=True))
    logits, intermediates = jax.device_get(run(WORDS, LENGTHS))
    p = variables["params"]["encoder"]
    for row in range(2):
        lengths = LENGTHS[row][LENGTHS[row] > 0]
        words = [list(p["embedding"]["embedding"][WORDS[row, n, :length]]) for n, length in enumerate(lengths)]
        ends = [bidirectional(GRU(H), p["words"], sentence) for sentence in words]
        carry = GRU(H).init_carry((), jnp.float64)
        for n, end in enumerate(ends):
            sentence = np.concatenate([end[-1][:H], end[0][H:]])
            carry, state = step_of(GRU(H), p["sentences"]["layer0"], carry, sentence)
            close(intermediates["memory"].states[row, n], state)
        close(intermediates["memory"].summary[row], state)
        close(intermediates["attention"][row].sum(axis=-1), 1)
    assert not np.any(intermediates["attention"][1, :, 2])
    junk = np.where(np.arange(4) < LENGTHS[..., None], WORDS, 5)
    close(run(junk, LENGTHS)[0], logits)


def test_invalid_documents_raise(key):
    for words, message in ((WORDS[0, 0], r"got \(4,\)"), (WORDS / 2, "got .* float")):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(MODEL.init, key, words)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (MODEL, (WORDS, LENGTHS)),
        (HierarchicalEncoderDecoder(V, V, GRU(H), embedding_dim=E), (WORDS, jnp.ones((2, 3), int), LENGTHS)),
    ],
    ids=["attention", "encoder-decoder"],
)
def test_computation_is_in_the_given_dtype(model, inputs):
    half = model.clone(dtype=jnp.bfloat16)
    outputs, variables = jax.eval_shape(
        partial(half.init_with_output, return_intermediates=True), jax.random.key(0), *inputs
    )
    leaves = [
        leaf for path, leaf in jax.tree.leaves_with_path(outputs) if "_attention" not in jax.tree_util.keystr(path)
    ]
    floats = {leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
