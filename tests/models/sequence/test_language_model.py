"""The recurrent language model against torch's modules, its tied embedding, and its step function."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses
from jaxdl.models import RecurrentLanguageModel, step_function
from jaxdl.nn.recurrent.cells import GRU, LSTM, FourGateLSTM
from jaxdl.pretrained.recurrent import load_torch
from tests.variables import draw

TOKENS = np.array([[1, 4, 2, 2, 0], [3, 3, 1, 0, 4]])
TARGETS = np.roll(TOKENS, -1, axis=1)


def build(**fields):
    model = RecurrentLanguageModel(**{"vocab_size": 5, "cell": GRU(4), "embedding_dim": 4, **fields})
    return model, draw(model.init, jax.random.key(0), TOKENS)


def loss(model, params):
    return losses.cross_entropy(model.apply({"params": params}, TOKENS), TARGETS)


@pytest.mark.usefixtures("float64")
def test_logits_and_gradient_match_torch():
    torch = pytest.importorskip("torch", reason="parity with torch")
    embedding, rnn, output = torch.nn.Embedding(5, 4), torch.nn.LSTM(4, 3, 2, batch_first=True), torch.nn.Linear(3, 5)
    for module in (embedding, rnn, output):
        module.double()
    cell = LSTM(3)
    params = {
        "embedding": {"embedding": jnp.asarray(embedding.weight.detach().numpy())},
        "rnn": load_torch(rnn.state_dict(), cell, num_layers=2),
        "output": {"kernel": output.weight.detach().numpy().T, "bias": output.bias.detach().numpy()},
    }
    model = RecurrentLanguageModel(vocab_size=5, cell=cell, embedding_dim=4, num_layers=2)
    theirs = output(rnn(embedding(torch.tensor(TOKENS)))[0])
    torch.nn.functional.cross_entropy(theirs.reshape(-1, 5), torch.tensor(TARGETS).reshape(-1)).backward()
    logits, gradient = jax.jit(lambda p: (model.apply({"params": p}, TOKENS), jax.grad(partial(loss, model))(p)))(
        params
    )
    np.testing.assert_allclose(logits, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient["embedding"]["embedding"], embedding.weight.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient["output"]["kernel"].T, output.weight.grad.numpy(), rtol=1e-9, atol=1e-12)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(jax.device_get(gradient)))


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_a_tied_embedding_sums_over_both_uses():
    tied, variables = build(tied=True)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables["params"])
    matrix, bias = params["embedding"]["embedding"], params["output_bias"] + 0.1
    free = tied.clone(tied=False)
    free_params = {
        "embedding": params["embedding"],
        "rnn": params["rnn"],
        "output": {"kernel": matrix.T, "bias": bias},
    }
    value, gradient = jax.jit(jax.value_and_grad(partial(loss, tied)))({**params, "output_bias": bias})
    free_value, free_gradient = jax.jit(jax.value_and_grad(partial(loss, free)))(free_params)
    np.testing.assert_allclose(value, free_value, rtol=1e-12)
    both = free_gradient["embedding"]["embedding"] + free_gradient["output"]["kernel"].T
    np.testing.assert_allclose(gradient["embedding"]["embedding"], both, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(gradient["output_bias"], free_gradient["output"]["bias"], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("cell", [GRU(4), FourGateLSTM(4)], ids=["gru", "four gates"])
def test_windows_and_single_steps_match_the_whole_text(cell):
    model, variables = build(cell=cell, num_layers=2)
    read = partial(model.apply, return_intermediates=True)

    @jax.jit
    def in_both_ways(variables):
        _, first = read(variables, TOKENS[:, :2])
        return read(variables, TOKENS), read(variables, TOKENS[:, 2:], first["carry"])

    (whole, intermediates), (rest, last) = in_both_ways(variables)
    assert whole.shape == (2, 5, 5)
    np.testing.assert_allclose(rest, whole[:, 2:], rtol=1e-5, atol=1e-6)
    step, carry = jax.jit(step_function(model, variables)), model.init_carry((2,))
    for t in range(5):
        carry, logits = step(carry, TOKENS[:, t])
        np.testing.assert_allclose(logits, whole[:, t], rtol=1e-5, atol=1e-6)
    for other in (carry, last["carry"]):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), other, intermediates["carry"])


def test_greedy_generation_matches_a_loop_over_growing_texts():
    model, variables = build()
    forward = jax.jit(model.apply)
    text = [3]
    for _ in range(6):
        padded = np.zeros((1, 7), int)
        padded[0, : len(text)] = text
        text.append(int(forward(variables, padded)[0, len(text) - 1].argmax()))
    start = step_function(model, variables), model.init_carry((1,)), jnp.array([3])
    assert jax.jit(lambda: decode.greedy(*start, max_length=6).tokens[0])().tolist() == text[1:]


@pytest.mark.parametrize("tied", [True, False])
def test_computation_is_in_the_given_dtype(tied):
    model = RecurrentLanguageModel(vocab_size=5, cell=LSTM(4), embedding_dim=4, tied=tied, dtype=jnp.bfloat16)
    tokens, start = jnp.zeros((1, 3), int), model.init_carry((1,))
    outputs, variables = jax.eval_shape(
        partial(model.init_with_output, return_intermediates=True), jax.random.key(0), tokens, start
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((outputs, start))} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    generate = partial(decode.greedy, carry=start, first=tokens[:, -1], max_length=3)
    made = jax.eval_shape(lambda variables: generate(step_function(model, variables)), variables)
    assert made.tokens.shape == (1, 3)


def test_dropout_applies_in_training_only(key):
    model, variables = build(dropout_rate=0.5)
    apply = jax.jit(model.apply, static_argnames="train")
    first, second = (apply(variables, TOKENS, train=True, rngs={"dropout": k}) for k in jax.random.split(key))
    assert not np.allclose(first, second)
    first, second = (apply(variables, TOKENS, train=False, rngs={"dropout": k}) for k in jax.random.split(key))
    np.testing.assert_array_equal(first, second)


def test_invalid_arguments_raise(key):
    model = RecurrentLanguageModel(vocab_size=5, cell=GRU(4), embedding_dim=3)
    with pytest.raises(ValueError, match="float32"):
        model.init(key, jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="got embedding_dim=3"):
        model.clone(tied=True).init(key, TOKENS)
    with pytest.raises(ValueError, match="carry"):
        model.init(key, TOKENS, model.init_carry((3,)))
