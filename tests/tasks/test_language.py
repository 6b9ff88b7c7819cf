"""Language modeling over streams: truncated and full backpropagation, carried state, and evaluation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import losses, models, tasks, train
from jaxdl.data import text
from jaxdl.data.batching import Loader
from jaxdl.models.sequence.language_model import RecurrentLanguageModel
from jaxdl.models.transformers.gpt import GPT
from jaxdl.nn.recurrent.cells import LSTM, Vanilla
from jaxdl.tasks.language import Perplexity, language_model
from tests.variables import draw

TEXT = np.random.default_rng(0).integers(0, 5, 25)


def model_of(cell=Vanilla(3), **fields):  # noqa: B008 - a cell has no arrays
    return RecurrentLanguageModel(vocab_size=5, cell=cell, embedding_dim=2, **fields)


def start(task, length, key, batch_size=2):
    loader = Loader(text.windows(TEXT, batch_size, length), batch_size, shuffle=False)
    variables = draw(task.init, key, loader.batch(0))
    variables["carry"] = jax.tree.map(np.zeros_like, variables["carry"])
    state = train.TrainState.create(variables, optax.sgd(0.3), jax.random.key(1))
    return loader, state, train.make_step(task.loss, optax.sgd(0.3))


@pytest.mark.usefixtures("float64")
def test_one_window_of_the_whole_stream_gives_the_full_gradient(key):
    model = model_of()
    task = language_model(model)
    loader, state, _ = start(task, 12, key)
    assert len(loader) == 1
    batch = loader.batch(0)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state.params)

    def whole(params):
        return losses.cross_entropy(model.apply({"params": params}, batch["token"]), batch["target"])

    def both(params):
        return jax.grad(whole)(params), jax.grad(task.loss, has_aux=True)({"params": params, **collections}, batch, key)

    collections = state.collections
    full, (windowed, (collections, _)) = jax.jit(both)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13), windowed["params"], full)
    assert jnp.any(collections["carry"]["states"][0] != 0)


@pytest.mark.usefixtures("float64")
def test_windows_give_the_truncated_gradient(key):
    """Without updates in between, windows of 3 sum to a loop with a stopped gradient before every 3rd step."""
    task, truncated = language_model(model_of()), model_of()
    loader, state, _ = start(task, 3, key)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state.params)
    collections, total = state.collections, 0.0
    gradient = jax.jit(jax.grad(task.loss, has_aux=True))
    sums = jax.tree.map(jnp.zeros_like, params)
    for batch in loader:
        grads, (collections, metrics) = gradient({"params": params, **collections}, batch, key)
        sums, total = jax.tree.map(jnp.add, sums, grads["params"]), total + metrics["bits_per_token"]
    whole = text.windows(TEXT, 2, 12)

    def truncated_loss(params):
        embedded = params["embedding"]["embedding"][whole["token"]]
        cell = truncated.cell
        h, states = cell.init_carry((2,), jnp.float64), []
        for t in range(12):
            h = jax.lax.stop_gradient(h) if t % 3 == 0 else h
            h, y = cell(params["rnn"]["layer0"], h, embedded[:, t])
            states.append(y)
        logits = jnp.stack(states, 1) @ params["output"]["kernel"] + params["output"]["bias"][None, None]
        return losses.cross_entropy(logits, whole["target"])

    value, expected = jax.jit(jax.value_and_grad(truncated_loss))(params)
    np.testing.assert_allclose(total / 4 * np.log(2), value, rtol=1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a / 4, b, rtol=1e-9, atol=1e-13), sums, expected)
    uncut = gradient({"params": params, **state.collections}, start(task, 12, key)[0].batch(0), key)[0]["params"]
    assert not np.allclose(uncut["rnn"]["layer0"]["recurrent_kernel"], expected["rnn"]["layer0"]["recurrent_kernel"])


def test_rows_that_start_ignore_the_carried_state(key):
    task = language_model(model_of(LSTM(3)))
    loader, state, step = start(task, 3, key)
    loss = jax.jit(task.loss)
    batch = loader.batch(len(loader))
    assert batch["start"].tolist() == [1, 1]
    full = {**state.collections, "carry": jax.tree.map(jnp.ones_like, state.collections["carry"])}
    values = [loss({"params": state.params, **carried}, batch, key)[0] for carried in (state.collections, full)]
    assert values[0] == values[1]
    one = {**batch, "start": np.array([1.0, 0.0], np.float32)}
    assert loss({"params": state.params, **full}, one, key)[0] != values[0]


def test_variables_with_a_carried_state_generate(key):
    model = model_of(LSTM(3))
    task = tasks.language_model(model)
    loader, state, step = start(task, 3, key)
    state, _ = jax.jit(step)(state, loader.batch(0))
    tokens = loader.batch(1)["token"]
    logits, intermediates = model.apply(state.variables, tokens, return_intermediates=True)
    np.testing.assert_array_equal(logits, model.apply({"params": state.params}, tokens))
    _, following = models.step_function(model, state.variables)(intermediates["carry"], tokens[:, 0])
    assert following.shape == (2, 5)


def test_a_run_resumed_from_a_checkpoint_matches_an_uninterrupted_run(key, tmp_path):
    task = language_model(model_of(LSTM(3), dropout_rate=0.2))
    arrays = text.streams(TEXT, 2)

    def fit(epochs, state, loader, step):
        return train.fit(step, state, loader, epochs=epochs, report_every=4)

    loader, state, step = start(task, 3, key)
    through, _ = fit(2, state, loader, step)
    loader, state, step = start(task, 3, key)
    half, _ = fit(1.5, state, loader, step)
    checkpoints = train.Checkpoints(tmp_path, config={})
    checkpoints.save(half)
    _, fresh, step = start(task, 3, key)
    again, _ = fit(2, checkpoints.restore(fresh), loader, step)
    differences = jax.tree.map(np.array_equal, (again.params, again.collections), (through.params, through.collections))
    assert jax.tree.all(differences)
    evaluate = train.make_evaluation(task.measure, arrays)
    assert evaluate(again.variables) == evaluate(through.variables)


def test_evaluation_does_not_depend_on_the_window(key):
    model = model_of(LSTM(3))
    variables = language_model(model).init(key, {"token": TEXT[None, :-1]})
    whole = text.streams(TEXT, 3)
    logits = np.asarray(jax.jit(model.apply)(variables, whole["token"]), np.float64)
    nats = -np.take_along_axis(logits - np.log(np.exp(logits).sum(-1, keepdims=True)), whole["target"][..., None], -1)[
        ..., 0
    ]
    mean = nats[whole["mask"] == 1].mean()
    for window in (5, None):
        task = language_model(model, window=window, unit="character")
        measured = train.make_evaluation(task.measure, whole, batch_size=2)(variables)
        np.testing.assert_allclose(measured["loss"], mean, rtol=1e-5)
        np.testing.assert_allclose(measured["bits_per_character"], mean / np.log(2), rtol=1e-5)
        np.testing.assert_allclose(measured["perplexity"], np.exp(mean), rtol=1e-5)


def test_a_model_with_a_cache_is_evaluated_over_whole_rows(key):
    model = GPT(
        vocab_size=5,
        context_length=7,
        d_model=4,
        num_layers=2,
        num_heads=1,
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
    )
    batch = {"token": TEXT[None, :7], "target": TEXT[None, 1:8]}
    for blocks in (model, model.clone(scan_blocks=True)):
        task = language_model(blocks, window=5)  # two windows of 5 exceed the context of 7

        variables = draw(task.init, key, batch)

        @partial(jax.jit, static_argnums=0)
        def run(task, variables):
            return task.loss(variables, batch, key)[0], task.measure(variables, batch)["loss"].value

        expected, measured = run(task, variables)
        np.testing.assert_allclose(measured, expected, rtol=1e-6)
        longer = {name: np.tile(rows, 2) for name, rows in batch.items()}
        with pytest.raises(ValueError, match=r"7 .* 14"):
            jax.eval_shape(task.measure, variables, longer)


def test_rows_without_start_begin_from_zeros(key):
    task = language_model(model_of())
    batch = {"token": TEXT[:12].reshape(2, 6), "target": TEXT[1:13].reshape(2, 6), "mask": np.float32([1, 0])}
    variables = task.init(key, batch)
    assert set(variables) == {"params"}
    loss = jax.jit(task.loss)
    value, (collections, metrics) = loss(variables, batch, key)
    other = batch["target"].copy()
    other[1] = 0
    assert loss(variables, {**batch, "target": other}, key)[0] == value
    assert collections == {}
    np.testing.assert_allclose(metrics["perplexity"], np.exp(value), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(task.measure)(variables, batch)["loss"].value, value, rtol=1e-6)


def test_perplexities_merge_over_all_tokens():
    merged = Perplexity(jnp.float32(2), jnp.float32(1)).merge(Perplexity(jnp.float32(1), jnp.float32(2)))
    assert isinstance(merged, Perplexity)
    np.testing.assert_allclose(merged.value, np.e, rtol=1e-6)


def test_batches_that_do_not_fit_the_carried_state_raise(key):
    task = language_model(model_of())
    loader, state, _ = start(task, 3, key)
    batch = {name: rows[:1] for name, rows in loader.batch(0).items()}
    with pytest.raises(ValueError, match=r"2 rows.* got 1"):
        task.loss(state.variables, batch, key)
    with pytest.raises(ValueError, match="'carry'"):
        task.loss({"params": state.params}, batch, key)
    with pytest.raises(ValueError, match=r"window .* got 0"):
        language_model(model_of(), window=0)
