"""Encoder-decoders against a plain loop in float64 and torch's modules; padding, generation, invalid arguments."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses
from jaxdl.models import EncoderDecoder, step_function
from jaxdl.nn.attention import scores
from jaxdl.nn.recurrent import cells
from jaxdl.pretrained.recurrent import load_torch
from tests import peers

V, W, E, H, EOS = 7, 6, 3, 4, 3
SOURCE = np.array([[1, 4, 2, 5, 6, 0, 0], [3, 6, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0]], np.int32)
LENGTHS = np.array([5, 3, 1], np.int32)
TARGET = np.array([[4, 1, 5, 3], [2, 2, 3, 0], [5, 3, 0, 0]], np.int32)
TARGET_IN = np.array([[2, 4, 1, 5], [2, 2, 2, 3], [2, 5, 3, 0]], np.int32)
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
MODELS = {
    "initial": EncoderDecoder(V, W, cells.LSTM(H), embedding_dim=E, num_layers=2, context="initial"),
    "every_step": EncoderDecoder(V, W, cells.GRU(H), embedding_dim=E, bidirectional=False, context="every_step"),
    "additive": EncoderDecoder(V, W, cells.Vanilla(H), cells.LSTM(5), E, score=scores.AdditiveScore(5)),
}


def random_variables(model, source=SOURCE):
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), source, TARGET_IN)
    return jax.tree.map(lambda leaf: 0.7 * rng.normal(size=leaf.shape), shapes)


@partial(jax.jit, static_argnums=0)
def run(model, variables, source, lengths):
    """Return the gradient of the loss of the first two tokens, logits and intermediates."""

    def loss(variables):
        logits, intermediates = model.apply(variables, source, TARGET_IN, lengths, return_intermediates=True)
        return losses.cross_entropy(logits[:, :2], TARGET[:, :2], reduction="sum"), (logits, intermediates)

    return jax.grad(loss, has_aux=True)(variables)


@partial(jax.jit, static_argnums=0)
def step_of(cell, parameters, carry, x):
    return cell(parameters, carry, x)


def by_hand(model, params, source, target_in):
    """Run one sequence without padding, step by step, with scores and softmax written out."""
    rnn, decoder = params["encoder"]["rnn"], params["decoder"]
    x = params["encoder"]["embedding"]["embedding"][source]
    for n in range(model.num_layers):
        layer, runs = rnn[f"layer{n}"], []
        for direction in ("forward", "backward") if model.bidirectional else ("forward",):
            own = layer[direction] if model.bidirectional else layer
            carry, states = model.cell.init_carry((), jnp.float64), []
            for x_t in x if direction == "forward" else x[::-1]:
                carry, y = step_of(model.cell, own, carry, x_t)
                states.append(y)
            runs.append(states if direction == "forward" else states[::-1])
        x = np.concatenate([np.array(states) for states in runs], axis=-1)
    summary = np.concatenate([x[-1, : model.cell.hidden_size], x[0, model.cell.hidden_size :]])
    cell = model.decoder_cell or model.cell
    one = cell.init_carry()
    start = np.tanh(summary @ decoder["initial"]["kernel"] + decoder["initial"]["bias"])
    parts = np.split(start, len(start) // cell.hidden_size)
    width = len(jax.tree.leaves(one))
    states = [jax.tree.unflatten(jax.tree.structure(one), parts[n * width :][:width]) for n in range(model.num_layers)]
    logits, attention = [], []
    for token in target_in:
        y, context = decoder["embedding"]["embedding"][token], np.zeros(0)
        if model.context == "every_step":
            context = summary
        elif model.context == "attention":
            h = np.asarray(getattr(states[0], "h", states[0]))
            p = decoder["score"]
            powers = np.exp([np.tanh(h @ p["query_kernel"] + k @ p["key_kernel"]) @ p["vector"] for k in x])
            attention.append(powers / powers.sum())
            context = sum(a * v for a, v in zip(attention[-1], x, strict=True))
        y = np.concatenate([y, context])
        for n in range(model.num_layers):
            states[n], y = step_of(cell, decoder[f"layer{n}"], states[n], y)
        read = np.concatenate([y, context])
        logits.append(read @ decoder["output"]["kernel"] + decoder["output"]["bias"])
    return np.array(logits), np.array(attention)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", MODELS)
def test_logits_match_a_loop_and_padding_changes_nothing(name):
    model = MODELS[name]
    variables = random_variables(model)
    gradient, (logits, intermediates) = jax.device_get(run(model, variables, SOURCE, LENGTHS))
    for row in (0, 1):
        source = SOURCE[row, : LENGTHS[row]]
        expected, attention = by_hand(model, variables["params"], source, TARGET_IN[row])
        close(logits[row], expected)
        if model.context == "attention":
            close(intermediates["attention"][row, :, : LENGTHS[row]], attention)
            assert not np.any(intermediates["attention"][row, :, LENGTHS[row] :])
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    junk = np.where(np.arange(SOURCE.shape[1]) < LENGTHS[:, None], SOURCE, 5)
    other_gradient, (other, _) = run(model, variables, junk, LENGTHS)
    close(other, logits)
    jax.tree.map(close, other_gradient, gradient)


@pytest.mark.usefixtures("float64")
def test_logits_and_gradients_with_attention_match_torch():
    torch = peers.torch()
    F, model = torch.nn.functional, EncoderDecoder(V, W, cells.LSTM(H), embedding_dim=E, score=scores.AdditiveScore(5))
    encoder = torch.nn.LSTM(E, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    step = torch.nn.LSTMCell(E + 2 * H, H, dtype=torch.float64)
    with torch.no_grad():
        step.bias_hh.zero_()
    params = random_variables(model)["params"]
    params["encoder"]["rnn"] = load_torch(encoder.state_dict(), cells.LSTM(H), bidirectional=True)
    own = {name: leaf.detach().numpy().T for name, leaf in step.named_parameters()}
    params["decoder"]["layer0"] = {
        "kernel": own["weight_ih"],
        "recurrent_kernel": own["weight_hh"],
        "bias": own["bias_ih"],
    }
    leaves = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf), requires_grad=True), params)
    d, score, padding = (
        leaves["decoder"],
        leaves["decoder"]["score"],
        torch.arange(SOURCE.shape[1]) >= torch.tensor(LENGTHS)[:, None],
    )
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        leaves["encoder"]["embedding"]["embedding"][torch.tensor(SOURCE)], LENGTHS.tolist(), batch_first=True
    )
    states, (ends, _) = encoder(packed)
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=SOURCE.shape[1])
    c, h = torch.tanh(torch.cat(list(ends), -1) @ d["initial"]["kernel"] + d["initial"]["bias"]).split(H, -1)
    expected = []
    for token in TARGET_IN.T:
        e = torch.tanh((h @ score["query_kernel"])[:, None] + states @ score["key_kernel"]) @ score["vector"]
        context = (F.softmax(e.masked_fill(padding, -torch.inf), -1)[..., None] * states).sum(1)
        h, c = step(torch.cat([d["embedding"]["embedding"][torch.tensor(token)], context], -1), (h, c))
        expected.append(torch.cat([h, context], -1) @ d["output"]["kernel"] + d["output"]["bias"])
    expected = torch.stack(expected, 1)
    F.cross_entropy(
        expected[:, :2].reshape(-1, W), torch.tensor(TARGET[:, :2]).long().reshape(-1), reduction="sum"
    ).backward()
    gradient, (logits, _) = run(model, {"params": params}, SOURCE, LENGTHS)
    close(logits, expected.detach().numpy())
    gradient = gradient["params"]
    for part in ("embedding", "initial", "output", "score"):
        jax.tree.map(lambda a, b: close(a, b.grad.numpy()), gradient["decoder"][part], leaves["decoder"][part])
    close(gradient["decoder"]["layer0"]["kernel"], step.weight_ih.grad.numpy().T)
    close(gradient["decoder"]["layer0"]["recurrent_kernel"], step.weight_hh.grad.numpy().T)
    close(gradient["encoder"]["rnn"]["layer0"]["backward"]["kernel"], encoder.weight_ih_l0_reverse.grad.numpy().T)


def test_decoding_agrees_with_the_logits_of_whole_targets(key):
    model = MODELS["additive"]
    variables = jax.tree.map(np.float32, random_variables(model))
    first, options = np.full(3, 2, np.int32), {"max_length": 4, "eos_id": EOS}

    @jax.jit
    def translate(variables):
        carry, step = model.apply(variables, SOURCE, LENGTHS, method="init_carry"), step_function(model, variables)
        one_by_one = jnp.swapaxes(jax.lax.scan(step, carry, TARGET_IN.T)[1], 0, 1)
        greedy = decode.greedy(step, carry, first, **options)
        sampled = decode.sample(key, step, carry, first, temperature=1e-4, **options)
        beams = decode.beam_search(step, carry, first, num_beams=4, length_penalty=0, **options)
        return one_by_one, greedy, sampled, jax.tree.map(lambda leaf: leaf[:, 0], beams)

    @jax.jit
    def at_once(variables, read):
        return jax.nn.log_softmax(model.apply(variables, SOURCE, read, LENGTHS))

    one_by_one, greedy, sampled, best = translate(variables)
    near = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    near(jax.nn.log_softmax(one_by_one), at_once(variables, TARGET_IN))
    tokens = np.asarray(greedy.tokens)
    np.testing.assert_array_equal(sampled.tokens, tokens)
    log_p = at_once(variables, np.concatenate([first[:, None], tokens[:, :-1]], axis=1))
    valid = np.arange(4) < np.asarray(greedy.lengths)[:, None]
    np.testing.assert_array_equal(np.asarray(log_p).argmax(-1)[valid], tokens[valid])
    assert (best.log_probability >= greedy.log_probability - 1e-5).all()
    for tokens, lengths, log_probability, *_ in jax.device_get((greedy, best)):
        log_p = at_once(variables, np.concatenate([first[:, None], tokens[:, :-1]], axis=1))
        own = np.take_along_axis(np.asarray(log_p), np.asarray(tokens)[..., None], axis=-1)[..., 0]
        valid = np.arange(4) < lengths[:, None]
        near(np.where(valid, own, 0).sum(axis=1), log_probability)


def test_vector_sources_and_dropout_in_training_only(key):
    model = EncoderDecoder(None, W, cells.Vanilla(H), embedding_dim=E, dropout_rate=0.5, context="initial")
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    variables = jax.tree.map(np.float32, random_variables(model, x))

    @jax.jit
    def apply(keys):
        dropped = [model.apply(variables, x, TARGET_IN, train=True, rngs={"dropout": key}) for key in keys]
        return dropped, [model.apply(variables, x, TARGET_IN, rngs={"dropout": key}) for key in keys]

    (first, second), (one, other) = apply(jax.random.split(key))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"context": "every step"}, (SOURCE, TARGET_IN), "'every_step'.* got 'every step'"),
        ({"score": scores.DotScore()}, (SOURCE, TARGET_IN), "4 and 8"),
        ({}, (SOURCE, TARGET_IN[0]), r"\(4,\)"),
        ({}, (SOURCE[:2], TARGET_IN), r"got \(2, 7\) and \(3, 4\)"),
        ({}, (SOURCE, TARGET_IN, LENGTHS[:2]), r"got \(2,\)"),
        ({}, (SOURCE / 2, TARGET_IN), "float"),
        ({"num_layers": 0}, (SOURCE, TARGET_IN), "num_layers .* got 0"),
    ],
)
def test_invalid_arguments_raise(change, arguments, message, key):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(partial(EncoderDecoder(V, W, cells.GRU(H), **change).init, key), *arguments)


def test_old_names_of_fields_raise():
    with pytest.raises(TypeError, match="target_vocab_size"):
        EncoderDecoder(V, target_vocabulary=W)


@pytest.mark.parametrize("name", MODELS)
def test_computation_is_in_the_given_dtype(name):
    half = MODELS[name].clone(dtype=jnp.bfloat16)
    run_half = partial(half.init_with_output, return_intermediates=True)
    outputs, variables = jax.eval_shape(run_half, jax.random.key(0), SOURCE, TARGET_IN)
    floats = {leaf.dtype for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
