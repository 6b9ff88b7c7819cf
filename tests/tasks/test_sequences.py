"""Tasks on sequences: which steps count, and the metrics of each tag against scikit-learn."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses, train
from jaxdl.models import LinearChainCRF, RecurrentClassifier, Tagger
from jaxdl.nn.recurrent.cells import GRU
from jaxdl.tasks.sequences import crf_tagging, sequence_classification, tagging

close = partial(np.testing.assert_allclose, rtol=1e-6)
cross_entropy = jax.jit(losses.cross_entropy, static_argnames=("label_smoothing", "reduction"))
TOKENS = np.array([[1, 2, 0, 3], [2, 2, 1, 1], [3, 0, 2, 2]])
LENGTHS = np.array([4, 2, 3])
TAGS = np.array([[0, 1, 2, 2], [1, 0, -1, 9], [2, 1, 1, -1]])
VALID = np.arange(4) < LENGTHS[:, None]


class Lookup(nn.Module):
    """A table of logits for each token; for a sequence, their sum."""

    each: bool

    @nn.compact
    def __call__(self, x, lengths=None, train=False):
        """Compute the logits."""
        logits = nn.Embed(4, 3, name="table")(x)
        if self.each:
            return logits
        mask = jnp.ones(x.shape, bool) if lengths is None else jnp.arange(x.shape[1])[None] < lengths[:, None]
        return jnp.sum(jnp.where(mask[..., None], logits, 0), axis=1)


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).normal(2 * np.eye(4, 3)).astype(np.float32)


def as_variables(table):
    return {"params": {"table": {"embedding": table}}}


def test_padding_and_masked_examples_do_not_count(table, key):
    task = sequence_classification(Lookup(each=False), label_smoothing=0.1)
    batch = {"token": TOKENS, "length": LENGTHS, "label": np.array([0, 2, 1]), "mask": np.array([1.0, 1.0, 0.0])}
    logits = np.stack([table[row[:length]].sum(axis=0) for row, length in zip(TOKENS, LENGTHS, strict=True)])[:2]
    value, (_, reported) = jax.jit(task.loss)(as_variables(table), batch, key)
    close(value, cross_entropy(logits, batch["label"][:2], label_smoothing=0.1))
    measured = jax.jit(task.measure)(as_variables(table), batch)
    close(measured["loss"].value, cross_entropy(logits, batch["label"][:2]))
    share = np.mean(logits.argmax(axis=1) == batch["label"][:2])
    assert measured["accuracy"].value == reported["accuracy"] == share
    assert jax.tree.map(jnp.shape, jax.eval_shape(task.init, key, batch)) == jax.tree.map(
        jnp.shape, as_variables(table)
    )


@pytest.mark.parametrize("given", ["length", "mask"])
def test_only_valid_steps_count_by_lengths_or_mask(given, table, key):
    task = tagging(Lookup(each=True))
    batch = {"token": TOKENS, "label": TAGS} | ({"length": LENGTHS} if given == "length" else {"mask": 1.0 * VALID})
    expected = cross_entropy(table[TOKENS[VALID]], TAGS[VALID])
    value, gradient = jax.jit(jax.value_and_grad(lambda v: task.loss(v, batch, key)[0]))(as_variables(table))
    close(value, expected)
    assert np.isfinite(gradient["params"]["table"]["embedding"]).all()
    measured = jax.jit(task.measure)(as_variables(table), batch)
    close(measured["loss"].value, expected)
    close(measured["accuracy"].value, np.mean(table[TOKENS[VALID]].argmax(axis=1) == TAGS[VALID]))


def test_a_mask_of_examples_combines_with_lengths(table, key):
    batch = {"token": TOKENS, "label": TAGS, "length": LENGTHS, "mask": np.array([1.0, 0.0, 0.5])}
    weight = np.broadcast_to(batch["mask"][:, None], VALID.shape)[VALID]
    each = cross_entropy(table[TOKENS[VALID]], TAGS[VALID], reduction="none")
    value, _ = jax.jit(tagging(Lookup(each=True)).loss)(as_variables(table), batch, key)
    close(value, np.average(each, weights=weight))


def test_tag_metrics_over_batches_match_scikit_learn(table):
    peer = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the peer")
    rng = np.random.default_rng(1)
    arrays = {"token": rng.integers(0, 4, (25, 6)), "label": rng.integers(0, 3, (25, 6))}
    arrays["length"] = rng.integers(0, 7, 25)
    valid = np.arange(6) < arrays["length"][:, None]
    predicted, labels = table[arrays["token"][valid]].argmax(axis=1), arrays["label"][valid]
    task = tagging(Lookup(each=True), tags=("A", None, "C"))
    found = train.make_evaluation(task.measure, arrays, batch_size=4)(as_variables(table))
    precision, recall, f1, _ = peer.precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2])
    for number, tag in ((0, "A"), (2, "C")):
        close(found[f"precision_{tag}"], precision[number])
        close(found[f"recall_{tag}"], recall[number])
        close(found[f"f1_{tag}"], f1[number])
    close(found["accuracy"], peer.accuracy_score(labels, predicted))
    assert set(found) == {"loss", "accuracy"} | {f"{m}_{t}" for m in ("precision", "recall", "f1") for t in "AC"}


@pytest.mark.parametrize("make", [tagging, lambda model: crf_tagging(LinearChainCRF(model))])
@pytest.mark.parametrize("filler", [np.nan, np.inf])
def test_padding_and_rows_that_fill_up_a_batch_may_hold_anything(make, filler, key):
    task = make(Tagger(vocab_size=None, num_classes=3, cell=GRU(2)))
    rows = np.array([1.0, 1.0, 0.0])
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    batch = {"token": x, "label": TAGS, "length": LENGTHS, "mask": rows}
    variables = task.init(key, batch)
    counted = (VALID & (rows[:, None] != 0))[..., None]

    @jax.jit
    def results(x):
        given = batch | {"token": x}
        value = jax.value_and_grad(lambda params: task.loss({"params": params}, given, key)[0])(variables["params"])
        return value, {name: mean.value for name, mean in task.measure(variables, given).items()}

    found = (results(x), results(np.where(counted, x, np.float32(filler))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), *found)


def test_a_mask_of_steps_hides_what_is_no_token(key):
    task = tagging(Tagger(vocab_size=4, num_classes=3, embedding_dim=2, cell=GRU(2)))
    batch = {"token": np.where(VALID, TOKENS, 0), "label": TAGS, "mask": 1.0 * VALID}
    variables = task.init(key, batch)

    @jax.jit
    def gradient(tokens):
        return jax.grad(lambda params: task.loss({"params": params}, batch | {"token": tokens}, key)[0])(
            variables["params"]
        )

    found = gradient(batch["token"]), gradient(np.where(VALID, TOKENS, -100))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7), *found)


@pytest.mark.parametrize("filler", [-100, 9999])
def test_tokens_of_rows_that_fill_up_a_batch_may_be_any(filler, key):
    task = sequence_classification(RecurrentClassifier(vocab_size=4, num_classes=3, embedding_dim=2, cell=GRU(2)))
    rows = np.array([1.0, 1.0, 0.0])
    batch = {"token": TOKENS, "label": np.array([0, 2, 1]), "length": LENGTHS, "mask": rows}
    variables = task.init(key, batch)

    @jax.jit
    def gradient(tokens):
        return jax.grad(lambda params: task.loss({"params": params}, batch | {"token": tokens}, key)[0])(
            variables["params"]
        )

    found = gradient(TOKENS), gradient(np.where(rows[:, None] != 0, TOKENS, filler))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7), *found)
