"""Decoding against plain Python loops over a small recurrent model, and beam search against exhaustive search."""

import itertools
from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
V, H, T, EOS = 5, 3, 4, 2
rng = np.random.default_rng(0)
EMBEDDING, U, OUT = rng.normal(size=(V, H)), rng.normal(size=(H, H)), 2 * rng.normal(size=(H, V))
START, FIRST = rng.normal(size=(2, H)), np.array([0, 3])


def step_fn(h, token):
    """A recurrent model, whose carry is a batch of states and a scalar that counts the steps."""
    h, count = h
    h = jnp.tanh(h @ U + jnp.asarray(EMBEDDING)[token])
    return (h, count + 1), h @ OUT


def by_hand(h, token):
    h = np.tanh(h @ U + EMBEDDING[token])
    return h, h @ OUT


@cache
def greedy_tokens():
    """The tokens of greedy decoding without an end."""
    return np.asarray(jax.jit(lambda: decode.greedy(step_fn, init_carry(), FIRST, max_length=T).tokens)())


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum())


def init_carry():
    return jnp.asarray(START), jnp.zeros((), jnp.int32)


def follow(h, token, sequence):
    """The log-probability of one sequence of one example."""
    total = 0.0
    for following in sequence:
        h, logits = by_hand(h, token)
        total, token = total + log_softmax(logits)[following], following
    return total


@pytest.mark.parametrize("eos_id", [None, EOS])
def test_greedy_takes_the_most_probable_token_until_the_end(eos_id):
    run = jax.jit(lambda first: decode.greedy(step_fn, init_carry(), first, max_length=T, eos_id=eos_id, pad_id=9))
    out = jax.device_get(run(FIRST))
    for n in range(2):
        h, token, expected = START[n], FIRST[n], []
        while len(expected) < T and (not expected or token != eos_id):
            h, logits = by_hand(h, token)
            token = int(np.argmax(logits))
            expected.append(token)
        assert out.tokens[n].tolist() == expected + [9] * (T - len(expected))
        assert out.lengths[n] == len(expected)
        close(out.log_probability[n], follow(START[n], FIRST[n], expected))


def test_the_loop_stops_once_all_sequences_have_ended():
    def count(carry, token):
        jax.debug.callback(lambda: calls.append(1))
        return carry, jnp.zeros((2, V)).at[:, EOS].set(1.0)

    calls = []
    jax.block_until_ready(jax.jit(lambda first: decode.greedy(count, None, first, max_length=50, eos_id=EOS))(FIRST))
    jax.effects_barrier()
    assert len(calls) == 1


def test_the_model_is_traced_once_for_all_tokens_and_calls():
    step = chex.assert_max_traces(step_fn, n=1)
    run = jax.jit(lambda first: decode.greedy(step, init_carry(), first, max_length=T).tokens)
    chex.clear_trace_counter()
    first, second = run(FIRST), run(FIRST[::-1].copy())
    assert first.shape == second.shape == (2, T)


def test_logits_of_nan_end_a_sequence():
    def fail(carry, token):
        (h, count), logits = step_fn(carry, token)
        return (h, count), jnp.where((count > 2) & jnp.array([True, False] * (len(h) // 2))[:, None], jnp.nan, logits)

    @jax.jit
    def run(first):
        whole = decode.greedy(step_fn, init_carry(), first, max_length=T)
        cut = decode.greedy(fail, init_carry(), first, max_length=T, pad_id=9)
        found = [
            decode.beam_search(fail, init_carry(), first, num_beams=1, max_length=T, eos_id=eos_id, pad_id=9)
            for eos_id in (None, EOS)
        ]
        return whole, cut, *found, decode.beam_search(step_fn, init_carry(), first, num_beams=1, max_length=T)

    whole, cut, lost, ended, searched = jax.device_get(run(FIRST))
    assert cut.tokens[0].tolist() == [*whole.tokens[0, :2].tolist(), 9, 9]
    assert cut.lengths.tolist() == [2, T]
    assert np.isnan(cut.log_probability[0])
    np.testing.assert_array_equal(cut.tokens[1], whole.tokens[1])
    close(cut.log_probability[1], whole.log_probability[1])
    assert (lost.tokens[0, 0].tolist(), lost.lengths[0, 0], lost.score[0, 0]) == ([9] * T, 0, -np.inf)
    np.testing.assert_array_equal(lost.tokens[1], searched.tokens[1])
    assert ended.tokens[0, 0, ended.lengths[0, 0] - 1] == EOS
    assert np.isfinite(ended.score).all()


def test_samples_follow_the_shaped_distribution(key):
    options = {"temperature": 0.7, "top_k": 4, "top_p": 0.9}
    run = jax.jit(
        lambda key, first: decode.sample(key, step_fn, init_carry(), first, max_length=T, eos_id=EOS, **options)
    )
    out = jax.device_get(run(key, FIRST))
    for n in range(2):
        h, token = START[n], FIRST[n]
        for t in range(int(out.lengths[n])):
            h, logits = by_hand(h, token)
            # Replay: the Gumbel noise of both examples is drawn together, from the key of the step.
            noise = np.asarray(jax.random.gumbel(jax.random.fold_in(key, t), (2, V)))[n]
            token = int(np.argmax(shape_by_hand(logits, **options) + noise))
            assert out.tokens[n, t] == token
        close(out.log_probability[n], follow(START[n], FIRST[n], out.tokens[n, : out.lengths[n]]))
    np.testing.assert_array_equal(run(key, FIRST).tokens, out.tokens)
    cold = jax.jit(lambda: decode.sample(key, step_fn, init_carry(), FIRST, max_length=T, temperature=1e-6))()
    np.testing.assert_array_equal(cold.tokens, greedy_tokens())


def shape_by_hand(logits, temperature=1.0, top_k=None, top_p=None):
    """One distribution at a time, token by token from the most probable."""
    logits = np.array(logits) / temperature
    order = np.argsort(-logits, kind="stable")
    for token in [] if top_k is None else order[top_k:]:
        logits[token] = -np.inf
    if top_p is not None:
        probabilities, mass = np.exp(logits) / np.exp(logits).sum(), 0.0
        for token in order:
            if mass >= top_p:
                logits[token] = -np.inf
            mass += probabilities[token]
    return logits


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_k": 3}, {"top_p": 0.5}, {"top_p": 1e-30}, {"top_p": 1.0}])
def test_truncated_logits_match_a_loop(options):
    logits = np.random.default_rng(1).normal(size=(20, 7)) * 2
    shaped = jax.jit(partial(decode.shape_logits, **options))(logits)
    close(shaped, [shape_by_hand(row, **options) for row in logits])


def test_sampled_frequencies_match_the_probabilities(key):
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    keys = jax.random.split(key, 4000)
    tokens = jax.jit(jax.vmap(lambda key: decode.sample_token(key, logits, top_p=0.9)))(keys)
    np.testing.assert_allclose(np.bincount(tokens, minlength=4) / 4000, np.array([10, 6, 3, 0]) / 19, atol=0.03)


def beam_by_hand(h, first, beams, alpha, eos_id):
    """Beam search over lists of one example."""
    score = lambda total, length: total / ((5 + length) / 6) ** alpha  # noqa: E731
    live, finished = [([], 0.0, h)], []
    for _ in range(T):
        candidates = []
        for tokens, total, state in live:
            state_after, logits = by_hand(state, tokens[-1] if tokens else first)
            for token, log_probability in enumerate(log_softmax(logits)):
                new = ([*tokens, token], total + log_probability, state_after)
                (finished if token == eos_id else candidates).append(new)
        finished = sorted(finished, key=lambda new: -score(new[1], len(new[0])))[:beams]
        live = sorted(candidates, key=lambda new: -new[1])[:beams]
        worst = score(finished[-1][1], len(finished[-1][0])) if finished else -np.inf
        if len(finished) == beams and max(score(new[1], T) for new in live) <= worst:
            break
    both = sorted(finished + live, key=lambda new: -score(new[1], len(new[0])))[:beams]
    return [(tokens, total, score(total, len(tokens))) for tokens, total, _ in both]


@pytest.mark.parametrize(("beams", "alpha", "eos_id"), [(1, 0.0, None), (3, 0.6, EOS), (3, 0.0, EOS), (4, 2.0, EOS)])
def test_beam_search_matches_a_search_over_lists(beams, alpha, eos_id):
    run = partial(
        decode.beam_search, step_fn, num_beams=beams, max_length=T, eos_id=eos_id, length_penalty=alpha, pad_id=9
    )
    out = jax.device_get(jax.jit(run)(init_carry(), FIRST))
    for n in range(2):
        for k, (tokens, total, score) in enumerate(beam_by_hand(START[n], FIRST[n], beams, alpha, eos_id)):
            assert out.tokens[n, k].tolist() == tokens + [9] * (T - len(tokens))
            assert out.lengths[n, k] == len(tokens)
            close(out.log_probability[n, k], total)
            close(out.score[n, k], score)
    if beams == 1:
        np.testing.assert_array_equal(out.tokens[:, 0], greedy_tokens())


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_beam_search_with_enough_beams_is_exhaustive(alpha):
    length = 3
    run = jax.jit(
        lambda first: decode.beam_search(
            step_fn, init_carry(), first, num_beams=(V - 1) ** 2, max_length=length, eos_id=EOS, length_penalty=alpha
        )
    )
    out = jax.device_get(run(FIRST))
    not_eos = [token for token in range(V) if token != EOS]
    sequences = list(itertools.product(not_eos, repeat=length))
    for size in range(length):
        sequences += [(*prefix, EOS) for prefix in itertools.product(not_eos, repeat=size)]
    for n in range(2):
        totals = {sequence: follow(START[n], FIRST[n], sequence) for sequence in sequences}
        scores = {sequence: total / ((5 + len(sequence)) / 6) ** alpha for sequence, total in totals.items()}
        best = max(scores, key=scores.get)
        assert tuple(out.tokens[n, 0, : out.lengths[n, 0]].tolist()) == best
        close(out.score[n, 0], scores[best])
        close(np.exp(list(totals.values())).sum(), 1)


def test_scheduled_sampling_reads_the_truth_with_the_given_probability(key):
    targets = np.random.default_rng(2).integers(0, V, (2, T))
    run = jax.jit(
        lambda p: decode.scheduled_sampling(key, step_fn, init_carry(), FIRST, targets, teacher_probability=p)[1]
    )
    forced, free, mixed = jax.device_get((run(1.0), run(0.0), run(0.5)))
    for n in range(2):
        h, token = START[n], FIRST[n]
        for t in range(T):
            h, logits = by_hand(h, token)
            close(forced[n, t], logits)
            token = targets[n, t]
        tokens = greedy_tokens()[n]
        h, token = START[n], FIRST[n]
        for t in range(T):
            h, logits = by_hand(h, token)
            close(free[n, t], logits)
            token = int(tokens[t])
    close(mixed[:, 0], forced[:, 0])
    assert np.abs(mixed - forced).max() > 0.01
    assert np.abs(mixed - free).max() > 0.01


def test_scheduled_sampling_reads_the_truth_as_often_as_asked(key):
    def read(carry, token):
        return carry, jnp.broadcast_to(token[:, None] == 1, (500, 2)) * jnp.array([[0.0, 1.0]]) + jnp.array(
            [[0.5, 0.0]]
        )

    # The targets are ones; the model repeats its input, and predicts 0 after a 0.
    zeros, ones = jnp.zeros(500, jnp.int32), jnp.ones((500, 2), jnp.int32)
    _, logits = decode.scheduled_sampling(key, read, None, zeros, ones, teacher_probability=0.8)
    assert abs(float(jnp.mean(jnp.argmax(logits[:, 1], axis=-1))) - 0.8) < 0.06


def test_inverse_sigmoid_decay_matches_its_formula():
    schedule = decode.inverse_sigmoid_decay(20.0)
    steps = np.arange(0, 2000, 50)
    close(schedule(steps)[:9], 20 / (20 + np.exp(steps[:9] / 20)))
    assert schedule(1e9) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decode.greedy(step_fn, init_carry(), FIRST, max_length=0), "got 0"),
        (lambda: decode.greedy(step_fn, init_carry(), FIRST[:, None, None], max_length=1), r"got \(2, 1, 1\)"),
        (lambda: decode.beam_search(step_fn, init_carry(), FIRST, num_beams=0, max_length=1), "num_beams .* got 0"),
        (lambda: decode.shape_logits(np.zeros(3), temperature=0.0), "temperature .* got 0.0"),
        (lambda: decode.keep_top_k(np.zeros(3), 0), "top_k .* got 0"),
        (lambda: decode.keep_top_p(np.zeros(3), 1.5), "top_p .* got 1.5"),
        (lambda: decode.inverse_sigmoid_decay(0.5), "got 0.5"),
        (
            lambda: decode.scheduled_sampling(jax.random.key(0), step_fn, init_carry(), FIRST, np.zeros((3, 2), int)),
            r"got \(3, 2\)",
        ),
        (
            lambda: decode.scheduled_sampling(
                jax.random.key(0), step_fn, init_carry(), FIRST, np.zeros((2, 2), int), teacher_probability=2.0
            ),
            "got 2.0",
        ),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("alpha", [-4.0, 0.6])
def test_beam_search_returns_what_has_ended_whatever_the_neighbours(alpha):
    def steps(carry, token):
        sure, count = carry  # where an example is sure, it ends at once; the other prefers to go on
        end = jnp.where(sure, 1.0, -3.0)
        logits = jnp.stack([jnp.zeros_like(end), 0.5 * jnp.ones_like(end), end], axis=-1)
        return (sure, count + 1), logits + 0.01 * token[:, None]

    def search(sure):
        return decode.beam_search(
            steps,
            (jnp.asarray(sure), jnp.zeros((), jnp.int32)),
            np.zeros(len(sure), int),
            num_beams=2,
            max_length=6,
            eos_id=2,
            length_penalty=alpha,
        )

    both, alone = jax.jit(search)([True, False]), jax.jit(search)([True])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[0]), both, alone)
    for tokens, lengths in zip(both.tokens, both.lengths, strict=True):
        for row, length in zip(tokens, lengths, strict=True):
            assert length == 6 or row[length - 1] == 2


@pytest.mark.parametrize("eos_id", [-1, V])
def test_an_end_outside_of_the_vocabulary_raises(eos_id):
    with pytest.raises(ValueError, match=f"eos_id in 0 .. {V - 1}, got {eos_id}"):
        decode.greedy(step_fn, init_carry(), FIRST, max_length=T, eos_id=eos_id)
    with pytest.raises(ValueError, match=f"got {eos_id}"):
        decode.beam_search(step_fn, init_carry(), FIRST, num_beams=2, max_length=T, eos_id=eos_id)


def test_without_a_most_probable_token_there_is_none(key):
    logits = jnp.array([[0.0, jnp.nan, 1.0], [-jnp.inf] * 3, [-jnp.inf, 0.0, -jnp.inf]])
    assert decode.greedy_token(None, logits).tolist() == [-1, -1, 1]
    options = [{}, {"top_k": 2}, {"top_p": 0.5}, {"temperature": 0.5}]
    tokens = jax.jit(lambda logits: [decode.sample_token(key, logits, **each) for each in options])(logits)
    assert [token.tolist() for token in tokens] == [[-1, -1, 1]] * 4


def test_a_traced_temperature_of_0_is_the_most_probable_token(key):
    logits = jnp.array([[0.0, 2.0, 2.0], [3.0, 2.0, 1.0]])
    draw = jax.jit(lambda temperature: decode.sample_token(key, logits, temperature=temperature))
    assert draw(0.0).tolist() == [1, 0]
    for zero in (np.float32(0), np.zeros(()), jnp.zeros(())):
        with pytest.raises(ValueError, match=r"temperature .* got 0"):
            decode.sample_token(key, logits, temperature=zero)


def test_logits_of_bytes_are_ranked_as_numbers():
    logits = np.array([200, 100, 0], np.uint8)
    assert decode.keep_top_p(logits, 0.9).tolist() == [200, -np.inf, -np.inf]
    assert decode.keep_top_k(logits, 2).tolist() == [200, 100, -np.inf]


def test_no_end_token_may_be_an_empty_list_and_a_fraction_is_none():
    def count_up(carry, token):
        return carry, 9.0 * jax.nn.one_hot((token + 1) % 5, 5)

    first = jnp.array([1, 3])
    expected = decode.greedy(count_up, None, first, max_length=4)
    np.testing.assert_array_equal(decode.greedy(count_up, None, first, max_length=4, eos_id=[]).tokens, expected.tokens)
    found = decode.beam_search(count_up, None, first, num_beams=1, max_length=4, eos_id=())
    np.testing.assert_array_equal(found.tokens[:, 0], expected.tokens)
    with pytest.raises(ValueError, match=r"eos_id to be integers, got 2\.5"):
        decode.greedy(count_up, None, first, max_length=4, eos_id=2.5)
