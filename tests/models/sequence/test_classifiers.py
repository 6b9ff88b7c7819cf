"""Networks that read sequences: against torch on sequences without padding, and that padding never changes anything."""

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
    last,
    pool,
)
from jaxdl.nn.recurrent import cells
from jaxdl.nn.recurrent.inputs import valid_steps

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
    """Write the sentences in rows of so many words, with something in the padding."""
    rows = [sentence + [(junk * i) % V for i in range(1, steps - len(sentence) + 1)] for sentence in SENTENCES]
    return np.array(rows)


def draw_all():
    """Draw the parameters of all models, in double precision."""
    rng = np.random.default_rng(0)
    tokens = jnp.zeros((1, 4), int)
    shapes = jax.eval_shape(
        lambda key: {name: model.init(key, tokens) for name, model in MODELS.items()}, jax.random.key(0)
    )
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)


@jax.jit
def measure(variables, tokens, lengths, labels, counted):
    """Return logits, losses and gradients of all models over the sentences that count; one program for all."""

    def loss(variables):
        logits = {name: model.apply(variables[name], tokens, lengths) for name, model in MODELS.items()}
        keep = valid_steps(lengths, tokens.shape[1])
        kept = {name: keep if name == "tagger" else jnp.ones(len(labels)) for name in MODELS}
        weights = {name: kept[name] * counted.reshape(-1, *[1] * (kept[name].ndim - 1)) for name in MODELS}
        said = {
            name: jnp.broadcast_to(labels.reshape(-1, *[1] * (kept[name].ndim - 1)), kept[name].shape)
            for name in MODELS
        }
        total = sum(losses.cross_entropy(logits[n], said[n], mask=weights[n], reduction="sum") for n in MODELS)
        return total, logits

    (value, logits), gradient = jax.value_and_grad(loss, has_aux=True)(variables)
    return value, logits, gradient


@pytest.fixture(scope="module")
def tight():
    """All models on the sentences with the least padding there can be."""
    with jax.enable_x64(True):
        variables = draw_all()
        return variables, measure(variables, padded(5, 0), LENGTHS, LABELS, np.ones(4))


@pytest.mark.usefixtures("float64")
def test_more_padding_and_other_words_in_it_change_no_logit_and_no_gradient(tight):
    variables, (value, logits, gradient) = tight
    longer, longer_logits, longer_gradient = measure(variables, padded(9, 3), LENGTHS, LABELS, np.ones(4))
    close(longer, value)
    jax.tree.map(close, longer_gradient, gradient)
    for name in MODELS:
        for row, length in enumerate(LENGTHS):
            at = (row, slice(length)) if name == "tagger" else row
            close(longer_logits[name][at], logits[name][at])


@pytest.mark.usefixtures("float64")
def test_a_sentence_has_the_logits_and_gradients_that_it_has_alone(tight):
    variables, (_, logits, gradient) = tight
    total = jax.tree.map(np.zeros_like, gradient)
    for row, length in enumerate(LENGTHS):
        tokens, lengths, labels = np.zeros((4, 5), int), np.array([length, 0, 0, 0]), LABELS[[row] * 4]
        tokens[0, :length] = SENTENCES[row]
        _, own, part = measure(variables, tokens, lengths, labels, np.array([1.0, 0, 0, 0]))
        total = tree.add(total, part)
        for name in MODELS:
            at = slice(length) if name == "tagger" else slice(None)
            close(own[name][0][at], logits[name][row][at])
    jax.tree.map(close, total, gradient)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(total))
    moved = jax.tree.map(lambda leaf: bool(np.any(leaf != 0)), total)
    assert all(jax.tree.leaves(moved))


def lstm_of(torch, variables):
    """Make torch's LSTM of ours, whose second bias is 0."""
    lstm = torch.nn.LSTM(D, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for way, suffix in (("forward", ""), ("backward", "_reverse")):
            ours = variables["params"]["rnn"]["layer0"][way]
            getattr(lstm, f"weight_ih_l0{suffix}").copy_(torch.tensor(ours["kernel"].T))
            getattr(lstm, f"weight_hh_l0{suffix}").copy_(torch.tensor(ours["recurrent_kernel"].T))
            getattr(lstm, f"bias_ih_l0{suffix}").copy_(torch.tensor(ours["bias"]))
            getattr(lstm, f"bias_hh_l0{suffix}").zero_()
    return lstm


@pytest.mark.parametrize("name", ["averaging", "last", "convolutional", "tagger"])
def test_torch_says_the_same_of_sentences_without_padding(name, tight):
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
        states, (h, _) = lstm_of(torch, variables[name])(packed)
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        read = states if name == "tagger" else torch.cat([h[0], h[1]], dim=-1)
    theirs = read @ params["output"]["kernel"] + params["output"]["bias"]
    if name == "tagger":
        keep = np.arange(5) < LENGTHS[:, None]
        theirs, ours, labels = theirs[torch.tensor(keep)], np.asarray(logits[name])[keep], np.repeat(LABELS, LENGTHS)
    else:
        ours, labels = logits[name], LABELS
    close(ours, theirs.detach().numpy())
    F.cross_entropy(theirs, torch.tensor(labels), reduction="sum").backward()
    for path, leaf in tree.flatten(params).items():
        if leaf.grad is not None:
            close(tree.flatten(gradient[name]["params"])[path], leaf.grad.numpy(), err_msg=path)
    assert table.grad is not None


def largest(torch, x, parameters, width):
    """Give torch's answer of one sentence, filled up where it is shorter than the kernel."""
    x = torch.nn.functional.pad(x, (0, 0, 0, max(0, width - len(x))))
    kernel = parameters["kernel"].permute(2, 1, 0)
    return torch.relu(torch.nn.functional.conv1d(x.T[None], kernel, parameters["bias"]))[0].amax(dim=-1)


@pytest.mark.usefixtures("float64")
def test_word_dropout_averages_what_it_retains_and_padding_changes_no_draw(key, tight):
    model, variables = MODELS["averaging"], tight[0]["averaging"]
    run = partial(model.apply, variables, lengths=LENGTHS, train=True, return_intermediates=True, rngs={"dropout": key})
    _, features = run(padded(5, 0))
    _, longer = run(padded(9, 3))
    close(features["pooled"], longer["pooled"])
    vectors = variables["params"]["embedding"]["embedding"]
    dropped = 0
    for z, sentence in zip(features["pooled"], SENTENCES, strict=True):
        subsets = [[w for i, w in enumerate(sentence) if bits >> i & 1] for bits in range(2 ** len(sentence))]
        means = [np.mean(vectors[np.array(kept)], axis=0) if kept else np.zeros(D) for kept in subsets]
        distance = [np.abs(mean - z).max() for mean in means]
        assert min(distance) < 1e-12
        dropped += distance[-1] > 1e-12
    assert dropped


def test_vectors_are_read_as_they_are_and_dropout_is_in_training_alone(key):
    models = {
        "vectors": RecurrentClassifier(None, K, cell=cells.Vanilla(H), dropout_rate=0.5),
        "convolutional": ConvolutionalClassifier(None, K, num_filters=20, widths=(2,)),
        "tagger": Tagger(None, K, cell=cells.Vanilla(H), num_layers=2, bidirectional=False, dropout_rate=0.5),
    }
    lengths = jnp.array([6, 3])

    @jax.jit
    def run(x):
        found = {}
        for name, model in models.items():
            logits, variables = model.init_with_output(key, x, lengths)
            assert "embedding" not in variables["params"]
            train = partial(model.apply, variables, x, lengths, train=True)
            found[name] = logits, *(train(rngs={"dropout": jax.random.key(i)}) for i in range(2))
        return found

    x = jax.random.normal(key, (2, 6, D))
    found, other = run(x), run(x.at[1, 3:].set(jnp.nan))
    for name, (logits, first, second) in found.items():
        at = (1, slice(3)) if name == "tagger" else 1
        assert jnp.array_equal(logits[at], other[name][0][at])
        assert jnp.any(first != second)
        assert jnp.any(first != logits)


def test_every_intermediate_is_given_by_name(key):
    tokens = jnp.array([[1, 2, 3]])
    expected = {
        "averaging": {"embedding": (1, 3, D), "pooled": (1, D), "hidden1": (1, H)},
        "last": {"embedding": (1, 3, D), "states": (1, 3, 2 * H), "pooled": (1, 2 * H)},
        "convolutional": {"embedding": (1, 3, D), "width2": (1, 3, 5), "width3": (1, 3, 5), "pooled": (1, 10)},
        "tagger": {"embedding": (1, 3, D), "states": (1, 3, 2 * H)},
    }
    for name, shapes in expected.items():
        make = partial(MODELS[name].init_with_output, return_intermediates=True)
        (_, features), _ = jax.eval_shape(make, key, tokens)
        assert {feature: x.shape for feature, x in features.items()} == shapes


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_compute_type_is_the_one_asked_for(model):
    for vocabulary, x in ((V, jnp.zeros((2, 4), int)), (None, jnp.zeros((2, 4, D)))):
        half = model.clone(vocab_size=vocabulary, dtype=jnp.bfloat16)
        seen, variables = jax.eval_shape(
            partial(half.init_with_output, return_intermediates=True), jax.random.key(0), x
        )
        assert {leaf.dtype for leaf in jax.tree.leaves(seen)} == {jnp.dtype(jnp.bfloat16)}
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_nothing_read_is_zero():
    x, none = jnp.ones((2, 3, 4)), valid_steps(jnp.array([0, 2]), 3)
    assert pool(x, none, "mean")[:, 0].tolist() == [0.0, 1.0]
    assert pool(x, none, "max")[:, 0].tolist() == [0.0, 1.0]
    assert last(x * none[..., None], none)[:, 0].tolist() == [0.0, 1.0]
    narrow = pool(jnp.ones((1, 1024, 1), jnp.bfloat16), jnp.ones((1, 1024), bool), "mean")
    assert narrow.dtype == jnp.bfloat16
    assert narrow.item() == 1


def test_the_last_is_the_last_true_one_wherever_padding_stands():
    y, keep = jnp.arange(8.0).reshape(4, 2), jnp.array([False, True, True, False])
    assert last(y, keep).tolist() == [4.0, 5.0]
    assert last(y, keep, both_ends=True).tolist() == [4.0, 3.0]
    assert last(y, jnp.array([True, False, True, False])).tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("model", "x", "lengths", "expected"),
    [
        (MODELS["averaging"], jnp.ones((2, 3)), None, "vocabulary=11, tokens .* came \\(2, 3\\) of float32"),
        (Tagger(None, K), jnp.ones((2, 3), int), None, "vocabulary=None, vectors"),
        (Tagger(None, K), jnp.ones(3), None, "vectors"),
        (
            MODELS["convolutional"],
            jnp.ones((2, 3), int),
            jnp.ones(3),
            "lengths must be one for each sequence, \\(2,\\)",
        ),
        (RecurrentClassifier(V, pooling="sum"), jnp.ones((2, 3), int), None, "pooling must be one of last, mean, max"),
    ],
)
def test_what_cannot_be_read_is_refused(model, x, lengths, expected, key):
    with pytest.raises(ValueError, match=expected):
        jax.eval_shape(partial(model.init, lengths=lengths), key, x)
