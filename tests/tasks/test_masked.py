"""Masked language modelling: the law of the masking, the loss of transformers, padding, and texts with lengths."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy import stats

from jaxdl import models, pretrained, tasks
from tests.models.parity import entries_of, randomize
from tests.peers import torch, transformers
from tests.variables import draw

V, MASK_ID, SPECIAL = 9, 3, (0, 1, 2)
SMALL = {"vocab_size": V, "context_length": 8, "d_model": 8, "num_layers": 1, "num_heads": 2, "mlp_dim": 12}
MODEL = models.BERT("masked_language_model", **SMALL, dropout_rate=0.0, attention_dropout_rate=0.0)
rng = np.random.default_rng(0)
BATCH = {"token": rng.integers(4, V, (4, 8)), "length": np.array([8, 5, 2, 8]), "mask": np.array([1.0, 1.0, 1.0, 0.0])}
OPTIONS = {"mask_id": MASK_ID, "vocab_size": V, "special_ids": SPECIAL, "rate": 0.5}


def test_the_masking_follows_the_law_of_the_paper():
    tokens = np.tile(np.array([1, *[4] * 12, 2, 0]), (4000, 1))
    tokens[:, 1:13] = rng.integers(4, V, (4000, 12))
    run = jax.jit(lambda key: tasks.mask_tokens(key, tokens, mask_id=MASK_ID, vocab_size=V, special_ids=SPECIAL))
    inputs, selected = jax.device_get(run(jax.random.key(0)))
    assert not selected[:, [0, 13, 14]].any()
    np.testing.assert_array_equal(inputs[~selected], tokens[~selected])
    text = selected[:, 1:13]
    assert stats.binomtest(int(text.sum()), text.size, 0.15).pvalue > 0.01
    hidden = inputs[selected] == MASK_ID
    assert stats.binomtest(int(hidden.sum()), len(hidden), 0.8).pvalue > 0.01
    others, true = inputs[selected][~hidden], tokens[selected][~hidden]
    # Of the rest one half is exchanged, one time in five for itself: the same token in 1/2 + 1/2 1/5 of the cases.
    assert stats.binomtest(int((others == true).sum()), len(others), 0.6).pvalue > 0.01
    assert stats.chisquare(np.bincount(others[others != true], minlength=V)[4:]).pvalue > 0.01
    by_place = text.sum(axis=0)
    assert stats.chisquare(by_place).pvalue > 0.01
    again, other = run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(again.inputs, inputs)
    assert (np.asarray(other.inputs) != inputs).any()


def test_the_masks_of_a_text_do_not_depend_on_its_batch():
    run = jax.jit(partial(tasks.mask_tokens, jax.random.key(0), **OPTIONS))
    whole, part = run(BATCH["token"]), run(BATCH["token"][[2, 3, 3, 2]])
    np.testing.assert_array_equal(whole.inputs[2:], part.inputs[:2])


@pytest.mark.usefixtures("float64")
def test_the_loss_is_that_of_transformers_and_ignores_padding():
    config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    config |= {"vocab_size": V, "max_position_embeddings": 8}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    peer = randomize(transformers().BertForMaskedLM(transformers().BertConfig(**config)))
    rules = pretrained.rules_of(MODEL, "huggingface")
    entries = {
        name: array for name, array in entries_of(peer).items() if not name.startswith("cls.predictions.decoder")
    }
    variables = pretrained.convert(entries, pretrained.template(MODEL, (8,), "int32"), rules, dtype=np.float64)
    task = tasks.masked_language_model(MODEL, evaluation_key=jax.random.key(5), **OPTIONS)
    key = jax.random.key(2)

    @jax.jit
    def run(variables, batch):
        loss = jax.value_and_grad(lambda v: task.loss(v, batch, key)[0])
        return loss(variables), task.measure(variables, batch)

    valid = np.asarray(tasks.token_mask(BATCH))
    clean = np.where(valid, BATCH["token"], 0)
    masked = jax.jit(partial(tasks.mask_tokens, mask=valid, **OPTIONS))(jax.random.split(key)[0], clean)
    labels = np.where(masked.is_selected, BATCH["token"], -100)
    assert (labels[valid] != -100).any()
    assert (labels[~valid] == -100).all()
    rows = slice(0, 3)  # the last row fills the batch
    theirs = peer(
        input_ids=torch().tensor(np.asarray(masked.inputs))[rows],
        attention_mask=torch().tensor(valid[rows].astype(int)),
        labels=torch().tensor(labels)[rows],
    ).loss
    (value, gradient), measured = run(variables, BATCH)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-9)
    junk = {**BATCH, "token": np.where(valid, BATCH["token"], 77)}
    (other, other_gradient), other_measured = run(variables, junk)
    assert float(other) == pytest.approx(float(value), rel=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), gradient, other_gradient)
    assert float(other_measured["loss"].value) == pytest.approx(float(measured["loss"].value), rel=1e-12)
    assert task.loss.count(BATCH) == 15


def test_the_task_of_classification_hides_the_padding_of_a_text():
    model = models.BERT("classification", **SMALL, dropout_rate=0.0, attention_dropout_rate=0.0)
    task = tasks.sequence_classification(model)
    segment = rng.integers(0, 2, (4, 8))
    batch = {**BATCH, "label": np.array([0, 1, 1, 0]), "segment": segment}
    variables = draw(model.init, jax.random.key(0), BATCH["token"])
    run = jax.jit(lambda b: task.measure(variables, b)["loss"].value)
    valid = np.arange(8) < BATCH["length"][:, None]
    value = float(run(batch))
    assert float(run({**batch, "token": np.where(valid, batch["token"], 5)})) == pytest.approx(value, abs=1e-6)
    assert float(run({**batch, "segment": 1 - segment})) != pytest.approx(value, abs=1e-4)
    assert float(run({**batch, "length": np.array([8, 6, 2, 8])})) != pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: tasks.mask_tokens(None, np.zeros((1, 2), int), mask_id=9, vocab_size=9), "got 9"),
        (lambda: tasks.mask_tokens(None, np.zeros((1, 2), int), mask_id=0, vocab_size=1), "got 1"),
        (lambda: tasks.mask_tokens(None, np.zeros((1, 2), int), mask_id=0, vocab_size=2, rate=1.5), "got 1.5"),
        (lambda: MODEL.init(jax.random.key(0), BATCH["token"], lengths=BATCH["length"][:2]), r"got \(2,\)"),
        (
            lambda: MODEL.init(jax.random.key(0), BATCH["token"], mask=BATCH["token"], lengths=BATCH["length"]),
            "got both",
        ),
    ],
)
def test_invalid_arguments_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call()
