"""Language experiments: baselines, and exact continuation of interrupted runs."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest

from experiments.harness.command_line import main
from experiments.harness.sequences import ngrams
from jaxdl import train

TRAIN = np.random.default_rng(0).integers(0, 4, 60) * np.tile([1, 1, 0], 20)
FLAGS = [
    "--hidden-size",
    "6",
    "--embedding-dim",
    "6",
    "--streams",
    "4",
    "--window",
    "20",
    "--sample",
    "5",
    "--epochs",
    "2",
]
FLAGS += ["--optimizer.learning-rate", "0.05"]


def slowly(context, word, tokens, order):
    """Return the probability of a word after a context by plain loops and dictionaries."""
    if order == 0:
        return 1 / 4
    grams = [tuple(tokens[i : i + order].tolist()) for i in range(len(tokens) - order + 1)]
    if order < len(context) + 1:
        longer = {tuple(tokens[i : i + order + 1].tolist()) for i in range(len(tokens) - order)}
        counts = Counter(gram[1:] for gram in longer)
    else:
        counts = Counter(grams)
    own = context[len(context) - order + 1 :]
    ones, twos = (sum(c == n for c in counts.values()) for n in (1, 2))
    discount = min(max(ones / max(ones + 2 * twos, 1), 0.1), 0.9)
    after = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == own}
    lower = slowly(context, word, tokens, order - 1)
    if not after:
        return lower
    total = sum(after.values())
    return max(after.get(word, 0) - discount, 0) / total + discount * len(after) / total * lower


@pytest.mark.parametrize("order", [1, 2, 3])
def test_kneser_ney_equals_plain_loops_and_sums_to_one(order):
    contexts = list(itertools.product(range(4), repeat=order - 1))
    for context in [*contexts][:16]:
        test = [np.array([*context, word]) for word in range(4)]
        test = [t if len(t) > 1 else np.array([0, *t]) for t in test]
        fast = [ngrams.kneser_ney(TRAIN, t, order, 4)[-1] for t in test]
        np.testing.assert_allclose(sum(fast), 1, rtol=1e-12)
        np.testing.assert_allclose(fast, [slowly(context, word, TRAIN, order) for word in range(4)], rtol=1e-12)


def test_contexts_of_the_first_tokens_extend_into_the_training_text():
    whole = ngrams.kneser_ney(TRAIN, np.array([2, 1, 3]), 3, 4)
    assert whole.shape == (2,)
    reached = ngrams.kneser_ney(TRAIN, np.array([TRAIN[-1], 2, 1]), 3, 4)[-1]
    np.testing.assert_allclose(whole[0], reached, rtol=1e-12)
    np.testing.assert_allclose(ngrams.bits(np.array([0.5, 0.125])), 2.0)
    with pytest.raises(ValueError, match="at least 3 tokens of training and 2 of testing, got 2 and 3"):
        ngrams.kneser_ney(TRAIN[:2], np.array([2, 1, 3]), 3, 4)


def test_neither_the_vocabulary_nor_the_order_is_limited():
    few = ngrams.kneser_ney(TRAIN, TRAIN, 5, 4)
    spread = 10_000 * TRAIN  # the same text with other numbers
    many = ngrams.kneser_ney(spread, spread, 5, 50_000)
    np.testing.assert_allclose(many, few, rtol=0.05)  # unseen tokens have another probability
    assert ngrams.kneser_ney(TRAIN, TRAIN, 20, 100).min() > 0


def test_text_of_the_training_compresses_better():
    rng = np.random.default_rng(0)
    noise = "".join(map(chr, rng.integers(97, 123, 4000)))
    sizes = ngrams.compressed_bits(noise, noise)
    assert sizes["lzma_after_training"] < 0.1
    assert sizes["gzip"] > np.log2(26)


def run(directory, path, *flags):
    arguments = ["run", "char_rnn", "--text", str(path), "--out", str(directory), "--prompt", "a", *FLAGS, *flags]
    assert main(arguments) == 0
    return json.loads((directory / "manifest.json").read_text())


def test_an_interrupted_run_resumes_exactly(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text("a rose is a rose is a rose. " * 40)
    fit, stopped = train.fit, []
    monkeypatch.setattr(train, "fit", lambda *a, **k: fit(*a, **{**k, "report_every": 6}))
    whole = run(tmp_path / "whole", path)

    class Interruption(train.checkpointing.Interruption):
        def __call__(self, report):
            if report.step >= 6:
                self.signal = "SIGTERM"
                stopped.append(report.step)
            return None if self.signal is None else train.STOP

    with monkeypatch.context() as patch:
        patch.setattr(train.checkpointing.interrupt, "Interruption", Interruption)
        assert run(tmp_path / "again", path)["status"] == "interrupted"
    assert stopped == [6]
    resumed = run(tmp_path / "again", path, "--resume")
    assert resumed["result"] == whole["result"]
    for name in ("weights.safetensors", "sample.txt", "vocabulary.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert whole["result"]["bits_per_character"] < whole["result"]["unigram_bits"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tied", "--embedding-dim", "5"], "expected 6 with --tied, got 5"),
        (["--text", "nowhere.txt"], "nowhere.txt"),
        (["--streams", "900"], "fewer streams"),
        (["--temperature", "0"], "temperature"),
        (["--top-p", "2"], "top-p"),
    ],
)
def test_invalid_settings_are_rejected(tmp_path, capsys, flags, message):
    assert (
        main(["run", "char_rnn", "--hidden-size", "6", "--out", str(tmp_path / "run"), "--characters", "3000", *flags])
        == 2
    )
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag", ["--top-k=0", "--top-p=2", "--sample=0", "--epochs=0", "--context-length=5", "--num-heads=3"]
)
def test_invalid_settings_of_the_gpt_are_rejected(tmp_path, capsys, flag):
    assert main(["run", "char_gpt", "--out", str(tmp_path / "run"), flag]) == 2
    assert f"{flag.split('=')[0]}: expected" in capsys.readouterr().err
