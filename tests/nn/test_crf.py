"""Conditional random fields against the sum and the maximum over all labellings."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import nn, tasks
from jaxdl.models import LinearChainCRF, Tagger
from jaxdl.nn.recurrent.cells import LSTM
from tests.variables import draw

B, T, K = 4, 4, 3
LENGTHS = np.array([4, 2, 1, 0])
rng = np.random.default_rng(0)
ALL = [list(itertools.product(range(K), repeat=n)) for n in range(T + 1)]


def random_chain():
    emissions = rng.normal(size=(B, T, K))
    emissions[np.arange(T) >= LENGTHS[:, None]] = np.nan  # padding may be anything
    transitions = rng.normal(size=(K, K))
    transitions[2, 0] = -np.inf
    return nn.Chain(emissions, transitions, *rng.normal(size=(2, K)))


def score(chain, row, labels):
    if not labels:
        return 0.0
    total = chain.first[labels[0]] + chain.last[labels[-1]]
    total += sum(chain.emissions[row, t, k] for t, k in enumerate(labels))
    return total + sum(chain.transitions[pair] for pair in itertools.pairwise(labels))


@pytest.mark.usefixtures("float64")
def test_sum_maximum_and_gradients_match_all_labellings():
    chain = random_chain()
    labels = rng.integers(0, K, (B, T))

    @jax.jit
    def run(chain):
        def total(chain):
            return jnp.sum(nn.crf_log_partition(chain, LENGTHS))

        results = nn.crf_log_partition(chain, LENGTHS), nn.crf_log_likelihood(chain, labels, LENGTHS)
        return *results, nn.viterbi(chain, LENGTHS), jax.grad(total)(chain), nn.crf_marginals(chain, LENGTHS)

    log_z, log_p, (best, best_score), gradient, marginals = run(chain)
    pairs, firsts, lasts = np.zeros((K, K)), np.zeros(K), np.zeros(K)
    for row, length in enumerate(LENGTHS):
        scores = np.array([score(chain, row, labelling) for labelling in ALL[length]])
        p = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(log_z[row], np.log(np.exp(scores).sum()), atol=1e-12)
        np.testing.assert_allclose(log_p[row], score(chain, row, tuple(labels[row, :length])) - log_z[row], atol=1e-12)
        assert best[row].tolist() == [*ALL[length][scores.argmax()], *[0] * (T - length)]
        np.testing.assert_allclose(best_score[row], scores.max(), atol=1e-12)
        expected = np.zeros((T, K))
        for labelling, probability in zip(ALL[length], p, strict=True):
            for t, k in enumerate(labelling):
                expected[t, k] += probability
            for pair in itertools.pairwise(labelling):
                pairs[pair] += probability
            if labelling:
                firsts[labelling[0]] += probability
                lasts[labelling[-1]] += probability
        np.testing.assert_allclose(marginals[row], expected, atol=1e-12)
    for ours, theirs in zip(gradient[1:], (pairs, firsts, lasts), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_task_learns_transitions_and_ignores_padding():
    model = LinearChainCRF(Tagger(5, K, 3, LSTM(2)))
    task = tasks.crf_tagging(model, tags=("a", None, "c"))
    batch = {"token": rng.integers(0, 5, (B, T)), "label": rng.integers(0, K, (B, T)), "length": LENGTHS + 0}
    junk = {**batch, "label": np.where(np.arange(T) < LENGTHS[:, None], batch["label"], -100)}
    filled = jax.tree.map(lambda x: np.concatenate([x, x]), batch) | {"mask": np.repeat([1.0, 0.0], B)}
    variables = draw(model.init, jax.random.key(0), batch["token"])
    run = jax.jit(lambda v, b: (jax.grad(lambda v: task.loss(v, b, jax.random.key(0))[0])(v), task.measure(v, b)))
    gradient, measured = run(variables, batch)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    for other in (junk, filled):
        others = run(variables, other)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), others[0], gradient)
        assert others[1]["loss"].value == pytest.approx(float(measured["loss"].value), abs=1e-5)
        assert others[1]["accuracy"].value == measured["accuracy"].value
    chain = model.apply(variables, batch["token"], LENGTHS)
    nats = -np.sum(nn.crf_log_likelihood(chain, batch["label"], LENGTHS))
    assert measured["loss"].value == pytest.approx(float(nats) / LENGTHS.sum(), abs=1e-5)
    assert {"precision_a", "recall_c", "f1_c"} < set(measured)
    assert task.loss.count(filled) == LENGTHS.sum()


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda c: nn.viterbi(c._replace(transitions=np.zeros((2, 3)))), r"\(2, 3\)"),
        (lambda c: nn.crf_log_partition(c, LENGTHS[:2]), r"got \(2,\)"),
        (lambda c: nn.crf_score(c, np.zeros((B, 2), int)), rf"got \({B}, 2\)"),
        (lambda c: nn.viterbi(c._replace(emissions=np.zeros((B, 0, K)))), r"got \(4, 0, 3\)"),
    ],
)
def test_invalid_shapes_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call(random_chain())


@pytest.mark.parametrize("label", [-1, K, -100])
def test_a_label_that_is_none_is_refused_or_nan(label):
    chain, labels = random_chain(), np.zeros((4, T), int)
    labels[0, 1] = label
    with pytest.raises(ValueError, match=f"got {label}"):
        nn.crf_log_likelihood(chain, labels, LENGTHS)
    found = jax.jit(nn.crf_log_likelihood)(chain, labels, LENGTHS)
    assert np.isnan(found).tolist() == [True, False, False, False]
    labels[0, 1], labels[1, 3] = 0, label  # in the padding
    assert np.isfinite(nn.crf_log_likelihood(chain, labels, LENGTHS)).all()
    with pytest.raises(TypeError, match="float"):
        nn.crf_score(chain, labels.astype(np.float32), LENGTHS)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_likelihoods_of_long_sequences_do_not_cancel(dtype):
    rng = np.random.default_rng(0)
    chain = nn.Chain(rng.normal(size=(2, 300, 5)), rng.normal(size=(5, 5)), *rng.normal(size=(2, 5)))
    chain = nn.Chain(*(jnp.asarray(scores, dtype) for scores in chain))
    labels = rng.integers(0, 5, (2, 300))
    with jax.enable_x64(True):
        exact = nn.crf_log_likelihood(nn.Chain(*(jnp.asarray(scores, "float64") for scores in chain)), labels)
    found = nn.crf_log_likelihood(chain, labels)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    near = chain._replace(emissions=jnp.round(chain.emissions.astype("float32") * 256) / 256)
    far = near._replace(emissions=near.emissions + 4096)  # exactly
    np.testing.assert_allclose(nn.crf_log_likelihood(far, labels), nn.crf_log_likelihood(near, labels), rtol=1e-6)
