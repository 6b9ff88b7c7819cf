"""Sequence classifiers and the tagger: parity with torch without padding, and invariance to padding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses, tree
from jaxdl.models.sequence.classifiers import (
    AveragingNetwork,
    ConvolutionalClassifier,
    RecurrentClassifier,
    Tagger,
)
from jaxdl.models.sequence.layers import last, pool
from jaxdl.nn.recurrent import cells
from jaxdl.nn.recurrent.inputs import valid_steps
from tests.variables import draw

V, D, H, K = 11, 4, 3, 3
SENTENCES = [[1, 2, 3, 4, 5], [6, 2], [7], [3, 3, 8, 1]]
LENGTHS = np.array([len(sentence) for sentence in SENTENCES])
LABELS = np.array([0, 2, 1, 1])
RNN = {"embedding_dim": D, "cell": cells.LSTM(H)}
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)

MODELS = {
    "averaging": AveragingNetwork(V, K, embedding_dim=D, hidden_sizes=(H,), activation="tanh"),
    "last": RecurrentClassifier(V, K, **RNN, bidirectional=True),
    "mean": RecurrentClassifier(V, K, embedding_dim=D, cell=cells.GRU(H), num_layers=2, pooling="mean"),
    "max": RecurrentClassifier(V, K, embedding_dim=D, cell=cells.Vanilla(H), pooling="max"),
    "convolutional": ConvolutionalClassifier(V, K, embedding_dim=D, num_filters=5, widths=(2, 3)),
    "tagger": Tagger(V, K, **RNN),
}


def padded(steps, junk):
    """Write the sentences as rows of ``steps`` words, with junk in the padding."""
    rows = [sentence + [(junk * i) % V for i in range(1, steps - len(sentence) + 1)] for sentence in SENTENCES]
    return np.array(rows)


def random_variables():
    """Draw parameters for all models, in double precision."""
    rng = np.random.default_rng(0)
    tokens = jnp.zeros((1, 4), int)
    shapes = jax.eval_shape(
        lambda key: {name: model.init(key, tokens) for name, model in MODELS.items()}, jax.random.key(0)
    )
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)


@jax.jit
def evaluate(variables, tokens, lengths, labels, weights):
    """Return the loss, logits and gradients of all models over weighted sentences, in one program."""

    def loss(variables):
        logits = {name: model.apply(variables[name], tokens, lengths) for name, model in MODELS.items()}
        total = 0.0
        for name in MODELS:
            mask, targets = weights, labels
            if name == "tagger":
                mask = valid_steps(lengths, tokens.shape[1]) * weights[:, None]
                targets = jnp.broadcast_to(labels[:, None], tokens.shape)
            total += losses.cross_entropy(logits[name], targets, mask=mask, reduction="sum")
        return total, logits

    (value, logits), gradient = jax.value_and_grad(loss, has_aux=True)(variables)
    return value, logits, gradient


@pytest.fixture(scope="module")
def tight():
    """All models on the sentences with the least possible padding."""
    with jax.enable_x64(True):
        variables = random_variables()
        return variables, jax.device_get(evaluate(variables, padded(5, 0), LENGTHS, LABELS, np.ones(4)))


@pytest.mark.usefixtures("float64")
def test_more_padding_with_other_words_changes_no_logit_and_no_gradient(tight):
    variables, (value, logits, gradient) = tight
    longer, longer_logits, longer_gradient = jax.device_get(
        evaluate(variables, padded(9, 3), LENGTHS, LABELS, np.ones(4))
    )
    close(longer, value)
    jax.tree.map(close, longer_gradient, gradient)
    for name in MODELS:
        for row, length in enumerate(LENGTHS):
            at = (row, slice(length)) if name == "tagger" else row
            close(longer_logits[name][at], logits[name][at])


@pytest.mark.usefixtures("float64")
def test_a_sentence_in_a_batch_matches_the_sentence_alone(tight):
    variables, (_, logits, gradient) = tight
    total = jax.tree.map(np.zeros_like, gradient)
    for row, length in enumerate(LENGTHS):
        tokens, lengths, labels = np.zeros((4, 5), int), np.array([length, 0, 0, 0]), LABELS[[row] * 4]
        tokens[0, :length] = SENTENCES[row]
        _, own, part = jax.device_get(evaluate(variables, tokens, lengths, labels, np.array([1.0, 0, 0, 0])))
        total = jax.tree.map(np.add, total, part)
        for name in MODELS:
            at = slice(length) if name == "tagger" else slice(None)
            close(own[name][0][at], logits[name][row][at])
    jax.tree.map(close, total, gradient)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(total))
    moved = jax.tree.map(lambda leaf: bool(np.any(leaf != 0)), total)
    assert all(jax.tree.leaves(moved))


def torch_lstm(torch, variables):
    """Make torch's LSTM with our weights, whose second bias is 0."""
    lstm = torch.nn.LSTM(D, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            ours = variables["params"]["rnn"]["layer0"][direction]
            getattr(lstm, f"weight_ih_l0{suffix}").copy_(torch.tensor(ours["kernel"].T))
            getattr(lstm, f"weight_hh_l0{suffix}").copy_(torch.tensor(ours["recurrent_kernel"].T))
            getattr(lstm, f"bias_ih_l0{suffix}").copy_(torch.tensor(ours["bias"]))
            getattr(lstm, f"bias_hh_l0{suffix}").zero_()
    return lstm


@pytest.mark.parametrize("name", ["averaging", "last", "convolutional", "tagger"])
def test_logits_and_gradients_match_torch_without_padding(name, tight):
    torch = pytest.importorskip("torch", reason="torch is the peer")
    F = torch.nn.functional
    variables, (_, logits, gradient) = tight
    params = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), variables[name]["params"])
    table = params["embedding"]["embedding"]
    words = [table[torch.tensor(sentence)] for sentence in SENTENCES]
    if name == "averaging":
        offsets = torch.tensor(np.concatenate([[0], np.cumsum(LENGTHS)[:-1]]))
        mean = F.embedding_bag(torch.tensor(np.concatenate(SENTENCES)), table, offsets, mode="mean")
        read = torch.tanh(mean @ params["hidden1"]["kernel"] + params["hidden1"]["bias"])
    elif name == "convolutional":
        read = torch.stack([torch.cat([largest(torch, x, params[f"width{w}"], w) for w in (2, 3)]) for x in words])
    else:
        packed = torch.nn.utils.rnn.pack_sequence(words, enforce_sorted=False)
        states, (h, _) = torch_lstm(torch, variables[name])(packed)
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        read = states if name == "tagger" else torch.cat([h[0], h[1]], dim=-1)
    theirs = read @ params["output"]["kernel"] + params["output"]["bias"]
    if name == "tagger":
        valid = np.arange(5) < LENGTHS[:, None]
        theirs, ours, labels = theirs[torch.tensor(valid)], np.asarray(logits[name])[valid], np.repeat(LABELS, LENGTHS)
    else:
        ours, labels = logits[name], LABELS
    close(ours, theirs.detach().numpy())
    F.cross_entropy(theirs, torch.tensor(labels), reduction="sum").backward()
    for path, leaf in tree.flatten(params).items():
        if leaf.grad is not None:
            close(tree.flatten(gradient[name]["params"])[path], leaf.grad.numpy(), err_msg=path)
    assert table.grad is not None


def largest(torch, x, parameters, width):
    """Compute torch's maximum over one sentence, padded where it is shorter than the kernel."""
    x = torch.nn.functional.pad(x, (0, 0, 0, max(0, width - len(x))))
    kernel = parameters["kernel"].permute(2, 1, 0)
    return torch.relu(torch.nn.functional.conv1d(x.T[None], kernel, parameters["bias"]))[0].amax(dim=-1)


@pytest.mark.usefixtures("float64")
def test_word_dropout_averages_retained_words_and_padding_changes_no_draw(key, tight):
    model, variables = MODELS["averaging"], tight[0]["averaging"]
    options = {"train": True, "return_intermediates": True, "rngs": {"dropout": key}}
    run = jax.jit(lambda *tokens: [model.apply(variables, x, LENGTHS, **options)[1]["pooled"] for x in tokens])
    pooled, longer = run(padded(5, 0), padded(9, 3))
    close(pooled, longer)
    vectors = variables["params"]["embedding"]["embedding"]
    dropped = 0
    for z, sentence in zip(np.asarray(pooled), SENTENCES, strict=True):
        subsets = [[w for i, w in enumerate(sentence) if bits >> i & 1] for bits in range(2 ** len(sentence))]
        means = [np.mean(vectors[np.array(kept)], axis=0) if kept else np.zeros(D) for kept in subsets]
        distance = [np.abs(mean - z).max() for mean in means]
        assert min(distance) < 1e-12
        dropped += distance[-1] > 1e-12
    assert dropped


def test_vector_inputs_and_dropout_in_training_only(key):
    models = {
        "vectors": RecurrentClassifier(None, K, cell=cells.Vanilla(H), dropout_rate=0.5),
        "convolutional": ConvolutionalClassifier(None, K, num_filters=20, widths=(2,)),
        "tagger": Tagger(None, K, cell=cells.Vanilla(H), num_layers=2, bidirectional=False, dropout_rate=0.5),
    }
    lengths = np.array([6, 3])
    x = np.random.default_rng(0).standard_normal((2, 6, D), np.float32)
    variables = {name: draw(model.init, key, x, lengths) for name, model in models.items()}

    @jax.jit
    def run(x):
        out = {}
        for name, model in models.items():
            assert "embedding" not in variables[name]["params"]
            logits = model.apply(variables[name], x, lengths)
            train = partial(model.apply, variables[name], x, lengths, train=True)
            keys = jax.random.split(jax.random.key(0))
            out[name] = logits, *jax.vmap(lambda key, train=train: train(rngs={"dropout": key}))(keys)
        return out

    padded_with_nan = x.copy()
    padded_with_nan[1, 3:] = np.nan
    out, other = jax.device_get((run(x), run(padded_with_nan)))
    for name, (logits, first, second) in out.items():
        at = (1, slice(3)) if name == "tagger" else 1
        assert np.array_equal(logits[at], other[name][0][at])
        assert np.any(first != second)
        assert np.any(first != logits)


def test_intermediates_have_names_and_shapes(key):
    tokens = jnp.array([[1, 2, 3]])
    expected = {
        "averaging": {"embedding": (1, 3, D), "pooled": (1, D), "hidden1": (1, H)},
        "last": {"embedding": (1, 3, D), "states": (1, 3, 2 * H), "pooled": (1, 2 * H)},
        "convolutional": {"embedding": (1, 3, D), "width2": (1, 3, 5), "width3": (1, 3, 5), "pooled": (1, 10)},
        "tagger": {"embedding": (1, 3, D), "states": (1, 3, 2 * H)},
    }
    for name, shapes in expected.items():
        make = partial(MODELS[name].init_with_output, return_intermediates=True)
        (_, intermediates), _ = jax.eval_shape(make, key, tokens)
        assert {name: x.shape for name, x in intermediates.items()} == shapes


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_computation_is_in_the_given_dtype(model):
    for vocab_size, x in ((V, jnp.zeros((2, 4), int)), (None, jnp.zeros((2, 4, D)))):
        half = model.clone(vocab_size=vocab_size, dtype=jnp.bfloat16)
        outputs, variables = jax.eval_shape(
            partial(half.init_with_output, return_intermediates=True), jax.random.key(0), x
        )
        assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.bfloat16)}
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_pooling_without_valid_steps_is_zero():
    x, none = jnp.ones((2, 3, 4)), valid_steps(jnp.array([0, 2]), 3)
    assert pool(x, none, "mean")[:, 0].tolist() == [0.0, 1.0]
    assert pool(x, none, "max")[:, 0].tolist() == [0.0, 1.0]
    assert last(x * none[..., None], none)[:, 0].tolist() == [0.0, 1.0]
    narrow = pool(jnp.ones((1, 1024, 1), jnp.bfloat16), jnp.ones((1, 1024), bool), "mean")
    assert narrow.dtype == jnp.bfloat16
    assert narrow.item() == 1


def test_last_takes_the_last_valid_step_wherever_the_padding_is():
    y, mask = jnp.arange(8.0).reshape(4, 2), jnp.array([False, True, True, False])
    assert last(y, mask).tolist() == [4.0, 5.0]
    assert last(y, mask, both_ends=True).tolist() == [4.0, 3.0]
    assert last(y, jnp.array([True, False, True, False])).tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("model", "x", "lengths", "expected"),
    [
        (MODELS["averaging"], jnp.ones((2, 3)), None, "vocab_size=11, got \\(2, 3\\) of float32"),
        (Tagger(None, K), jnp.ones((2, 3), int), None, "vocab_size=None, got .* int"),
        (Tagger(None, K), jnp.ones(3), None, "got \\(3,\\)"),
        (
            MODELS["convolutional"],
            jnp.ones((2, 3), int),
            jnp.ones(3),
            "got \\(3,\\)",
        ),
        (RecurrentClassifier(V, pooling="sum"), jnp.ones((2, 3), int), None, "got 'sum'"),
    ],
)
def test_invalid_arguments_raise(model, x, lengths, expected, key):
    with pytest.raises(ValueError, match=expected):
        jax.eval_shape(partial(model.init, lengths=lengths), key, x)
