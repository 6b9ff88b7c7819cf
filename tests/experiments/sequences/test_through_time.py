"""The rules of the experiments on gradients and lags."""

import jax
import numpy as np

from experiments.harness.sequences.recurrent import initialize_spectral, longest_solved
from experiments.sequences import (
    date_extraction,
    exposure_gap,
    gender_tracking,
    gradient_clipping,
    long_lag,
    relu_recurrence,
)


def test_the_longest_lag_ends_before_the_first_unsolved_one():
    errors = np.array([[0.01, 0.05, 0.01], [0.01, 0.2, 0.01], [0.2, 0.01, 0.01], [0.09, 0.09, 0.1]])
    assert longest_solved((5, 10, 20), errors, 0.1).tolist() == [20, 5, 0, 10]


def test_the_lstms_of_a_seed_differ_in_the_forget_bias_only():
    start = long_lag.initialize(np.random.default_rng(0), long_lag.TASKS["adding"], 2)
    low, high = (start[name]["cell"] for name in ("LSTM, bias -1", "LSTM, bias 3"))
    H = long_lag.HIDDEN
    np.testing.assert_array_equal(low["recurrent_kernel"], high["recurrent_kernel"])
    np.testing.assert_array_equal(
        (high["bias"] - low["bias"]).reshape(2, 4, H), 4.0 * np.eye(4)[1][None, :, None] * np.ones((2, 1, H))
    )
    for gate in np.split(low["recurrent_kernel"][0], 4, axis=-1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(H), atol=1e-5)


def test_a_run_diverges_with_nan_or_a_higher_loss():
    first = np.array([1.0, 1.0, 1.0, np.inf])
    last = gradient_clipping.final_loss(np.array([[0.5, 0.7], [0.5, np.nan], [2.0, 2.0], [np.inf, 1.0]]))
    assert gradient_clipping.diverged(first, last).tolist() == [False, True, True, True]


def test_kernels_start_with_the_spectral_radius_one():
    U = initialize_spectral(np.random.default_rng(0), 2, 32, 1, 3)["cell"]["recurrent_kernel"]
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(U)).max(axis=-1), 1, rtol=1e-5)


def test_the_teacher_probabilities_pass_one_half_in_the_middle():
    p = exposure_gap.teacher_probabilities(1000)
    assert p[0].min() == 1
    assert p[-1].max() == 0
    np.testing.assert_allclose(p[1:3, 500], 0.5, atol=1e-3)
    assert np.all(np.diff(p[1:3], axis=1) < 0)
    assert p[3].tolist() == [1.0] * 333 + [0.0] * 667


def test_a_date_is_at_its_place():
    place = np.array([0, 18, 7])
    batch = jax.jit(date_extraction.draw, static_argnums=1)(jax.random.key(0), 3, place)
    token = np.asarray(batch["token"])
    for row, at in enumerate(place):
        assert token[row, at] - date_extraction.FILLERS == batch["day"][row]
        assert token[row, at + 1] - date_extraction.FILLERS - date_extraction.DAYS == batch["month"][row]
        assert np.sum(token[row] >= date_extraction.FILLERS) == 2


def test_the_gender_is_that_of_the_last_noun():
    token, gender = jax.jit(gender_tracking.draw, static_argnums=(1, 2))(jax.random.key(0), 3, 50)
    for words, genders in zip(np.asarray(token), np.asarray(gender), strict=True):
        last = None
        for word, label in zip(words, genders, strict=True):
            last = word if word < gender_tracking.NOUNS else last
            assert label == (gender_tracking.WORDS[last] in gender_tracking.MALE)
    assert np.any(token == gender_tracking.PRONOUN)


def test_an_error_of_nan_or_infinity_counts_as_the_largest():
    loss = np.full((3, 10), 1 / 6)
    loss[1:, -1] = np.nan, np.inf
    assert relu_recurrence.last_error({"loss": loss}).tolist() == [1.0, 100.0, 100.0]
