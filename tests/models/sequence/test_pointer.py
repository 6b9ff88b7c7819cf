"""The pointer-generator against torch in float64: the mixed distribution, the losses, their gradients; and copying."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, nn, tasks
from jaxdl.data import Vocabulary
from jaxdl.data.vocabulary import UNK
from jaxdl.models import PointerGenerator, step_function
from jaxdl.nn.recurrent import cells
from jaxdl.pretrained.recurrent import load_torch
from tests import peers
from tests.variables import draw

V, K, E, H = 6, 3, 3, 4
SOURCE = np.array([[1, 4, 6, 5, 7, 6], [3, 6, 2, 0, 0, 0], [2, 0, 0, 0, 0, 0]], np.int32)
LENGTHS = np.array([6, 3, 1], np.int32)
TARGET = np.array([[4, 6, 7, 3], [2, 6, 3, 0], [5, 3, 0, 0]], np.int32)
TARGET_LENGTHS = np.array([4, 3, 2], np.int32)
BATCH = {"source": SOURCE, "source_length": LENGTHS, "target": TARGET, "target_length": TARGET_LENGTHS}
MODEL = PointerGenerator(V, K, 1, cells.LSTM(H), E)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


def variables_of(model):
    drawn = draw(model.init, jax.random.key(0), SOURCE, TARGET)
    return jax.tree.map(lambda leaf: 1.5 * leaf.astype(np.float64), drawn)


def their_encoder(torch, p):
    """The states and the summary of torch's LSTM in both directions, and its module."""
    encoder = torch.nn.LSTM(E, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    p["encoder"]["rnn"] = load_torch(encoder.state_dict(), cells.LSTM(H), bidirectional=True)
    known = torch.tensor(np.where(SOURCE >= V, 1, SOURCE))
    x = torch.tensor(p["encoder"]["embedding"]["embedding"])[known]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS.tolist(), batch_first=True)
    states, (ends, _) = encoder(packed)
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=SOURCE.shape[1])
    return states.detach(), torch.cat([ends[0], ends[1]], -1).detach()


def their_decoder(torch, d, states, summary, target_in):
    """The distribution over the extended vocabulary, the attention and the coverage losses, by the paper's formulas."""
    cell, linear = d["cell"], lambda name, x: x @ d[name]["kernel"] + d[name]["bias"]
    a, B = d["attention"], len(SOURCE)
    memory, h = torch.tanh(linear("initial", summary)).split(H, -1)
    context, covered = torch.zeros(B, 2 * H, dtype=torch.float64), torch.zeros(SOURCE.shape, dtype=torch.float64)
    hidden = torch.tensor(np.arange(SOURCE.shape[1]) >= LENGTHS[:, None])
    out, weights, losses = [], [], []
    for tokens in target_in.T:
        e = d["embedding"]["embedding"][torch.tensor(np.where(tokens >= V, 1, tokens))]
        i, f, g, o = (torch.cat([e, context], -1) @ cell["kernel"] + h @ cell["recurrent_kernel"] + cell["bias"]).chunk(
            4, -1
        )
        memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(memory)
        feature = states @ a["key_kernel"] + (h @ a["query_kernel"])[:, None] + a["bias"]
        feature = feature + covered[..., None] * a["coverage_kernel"]
        attention = torch.softmax((torch.tanh(feature) @ a["vector"]).masked_fill(hidden, -torch.inf), -1)
        losses.append(torch.minimum(attention, covered).sum(-1))
        covered = covered + attention
        context = torch.einsum("bs,bse->be", attention, states)
        vocabulary = torch.softmax(linear("output", linear("hidden", torch.cat([h, context], -1))), -1)
        gate = torch.sigmoid(linear("gate", torch.cat([context, h, e], -1)))
        final = torch.cat([gate * vocabulary, torch.zeros(B, K, dtype=torch.float64)], -1)
        out.append(final.scatter_add(1, torch.tensor(SOURCE).long(), (1 - gate) * attention))
        weights.append(attention)
    return torch.stack(out, 1), torch.stack(weights, 1), torch.stack(losses, 1)


@pytest.mark.usefixtures("float64")
def test_distribution_losses_and_gradients_match_torch():
    torch, model = peers.torch(), MODEL
    variables = variables_of(model)
    torch.manual_seed(0)
    states, summary = their_encoder(torch, variables["params"])
    leaves = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), variables["params"]["decoder"])
    target_in = np.concatenate([np.full((3, 1), 2), TARGET[:, :-1]], axis=1)
    expected, attention, repeated = their_decoder(torch, leaves, states, summary, target_in)
    valid = torch.tensor(np.arange(4) < TARGET_LENGTHS[:, None])
    nats = -torch.log(expected.gather(2, torch.tensor(TARGET).long()[..., None])[..., 0])
    value = ((nats + 0.7 * repeated) * valid).sum() / valid.sum()
    value.backward()

    @jax.jit
    def run(params, batch):
        task = tasks.translation(model, bos_id=2, coverage_weight=0.7)
        value, gradient = jax.value_and_grad(lambda p: task.loss({"params": p}, batch, jax.random.key(0))[0])(params)
        log_p, out = model.apply(
            {"params": params}, batch["source"], target_in, batch["source_length"], return_intermediates=True
        )
        return value, gradient["decoder"], jnp.exp(log_p), out["attention"], jnp.exp(jax.nn.log_softmax(log_p))

    ours = run(variables["params"], BATCH)
    close(ours[0], value.item())
    close(ours[2], expected.detach())
    close(ours[4], expected.detach())
    close(ours[3], attention.detach())
    jax.tree.map(lambda a, b: close(a, b.grad), ours[1], leaves)
    junk = np.where(np.arange(SOURCE.shape[1]) < LENGTHS[:, None], SOURCE, 8)
    jax.tree.map(close, run(variables["params"], BATCH | {"source": junk}), ours)


def test_generation_copies_words_beyond_the_vocabulary():
    variables = jax.tree.map(lambda leaf: 2 * leaf.astype(np.float32), variables_of(MODEL))
    variables["params"]["decoder"]["gate"]["bias"] = np.array([-9.0], np.float32)  # copies

    @jax.jit
    def run():
        carry = MODEL.apply(variables, SOURCE, LENGTHS, method="init_carry")
        step_fn, first = step_function(MODEL, variables), np.array([2, 2, 2])
        tokens = decode.greedy(step_fn, carry, first, max_length=4).tokens
        target_in = jnp.concatenate([jnp.full((3, 1), 2), tokens[:, :-1]], axis=1)
        return tokens, jnp.argmax(MODEL.apply(variables, SOURCE, target_in, LENGTHS), axis=-1)

    tokens, again = run()
    np.testing.assert_array_equal(tokens, again)
    for row, given, length in zip(tokens, SOURCE, LENGTHS, strict=True):
        assert set(row.tolist()) <= set(given[:length].tolist())
    assert (tokens >= V).any()


def test_mixed_probabilities_are_finite_where_nothing_is_copied_or_generated():
    logits, gate = np.array([[0.0, -200.0]] * 3, np.float32), np.array([-300.0, 0.0, 300.0], np.float32)
    copied = np.array([[0.0, 0.0, 1.0, 0.0]] * 3, np.float32)

    @jax.jit
    def run(logits, gate, copied):
        return nn.mix_copies(logits, gate, copied), jax.grad(lambda *x: nn.mix_copies(*x).sum(), (0, 1, 2))(
            logits, gate, copied
        )

    log_p, gradients = run(logits, gate, copied)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((log_p, gradients[:2])))
    np.testing.assert_allclose(np.exp(log_p), [[0, 0, 1, 0], [0.5, 0, 0.5, 0], [1, 0, 0, 0]], atol=1e-6)
    weights = np.random.default_rng(0).dirichlet(np.ones(6), (3, 2)).astype(np.float32)
    found, expected = nn.copy_probabilities(weights, SOURCE, V + K), np.zeros((3, 2, V + K))
    for b, t, s in np.ndindex(weights.shape):
        expected[b, t, SOURCE[b, s]] += weights[b, t, s]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_coverage_is_that_of_a_loop():
    weights = np.random.default_rng(1).dirichlet(np.ones(4), (2, 3)).astype(np.float32)
    mask, total = np.array([[1, 1, 1], [1, 1, 0]]), np.zeros((2, 4))
    expected = np.zeros(2)
    for t in range(3):
        expected += np.minimum(weights[:, t], total).sum(axis=-1) * mask[:, t]
        np.testing.assert_allclose(nn.earlier_attention(weights)[:, t], total, rtol=1e-6)
        total += weights[:, t]
    np.testing.assert_allclose(nn.coverage_loss(weights, mask), expected, rtol=1e-6)


def test_unknown_words_of_a_source_extend_the_vocabulary():
    vocabulary = Vocabulary((UNK, "a", "b"))
    extended = vocabulary.extend(["b", "x", "a", "y", "x", "z"], 2)
    assert extended.encode(["x", "a", "z", "y"]).tolist() == [3, 1, 0, 4]
    assert vocabulary.extend(["a"], 2) == vocabulary


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: nn.copy_probabilities(np.ones((2, 3, 4)), np.ones((2, 3), int), 5), r"got \(2, 3, 4\) and \(2, 3\)"),
        (lambda: nn.copy_probabilities(np.ones((1, 1, 1)), np.array([[5]]), 5), "got 5"),
        (lambda: nn.mix_copies(np.ones(3), np.ones(()), np.ones(2)), r"got \(3,\), \(\) and \(2,\)"),
        (lambda: jax.eval_shape(MODEL.clone(unk_id=V).init, jax.random.key(0), SOURCE, TARGET), "got 6"),
    ],
)
def test_invalid_arguments_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call()


@pytest.mark.parametrize("token", [12, -1])
def test_a_token_that_is_no_word_of_the_source_makes_nan(token):
    model = PointerGenerator(vocab_size=9, extra_size=3, cell=cells.LSTM(5), embedding_dim=4)
    source, target_in = np.array([[1, 2, 11, 4]]), np.array([[1, 9]])
    variables = model.init(jax.random.key(0), source, target_in)
    apply = jax.jit(model.apply)
    assert np.isfinite(apply(variables, source, target_in)).all()
    source[0, 3] = token
    assert np.isnan(apply(variables, source, target_in)).all()
    assert np.isfinite(apply(variables, source, target_in, np.array([3]))).all()  # in the padding
    with pytest.raises(ValueError, match=f"got {token}"):
        model.apply(variables, source, target_in)
