"""Prompts of different lengths against generation alone and transformers; constraints against its processors."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, models, pretrained
from tests.models.parity import entries_of, randomize
from tests.peers import torch, transformers
from tests.variables import draw

V, T = 7, 6
GPT = models.GPT(
    vocab_size=V, context_length=12, d_model=8, num_layers=1, num_heads=2, dropout_rate=0.0, attention_dropout_rate=0.0
)
PROMPTS, LENGTHS = np.array([[3, 1, 4, 1], [5, 0, 0, 0], [2, 6, 0, 0]]), np.array([4, 1, 2])
MASK = (np.arange(4) < LENGTHS[:, None]).astype(int)
LEFT = np.stack([np.roll(row, 4 - n) for row, n in zip(PROMPTS, LENGTHS, strict=True)])
MODELS = {
    "gpt": GPT,
    "recurrent": models.RecurrentLanguageModel(V, embedding_dim=3),
    "wavenet": models.WaveNet(V, dilations=(1, 2), residual_channels=2, gate_channels=2, skip_channels=2),
}


@cache
def peer():
    """A GPT-2 of transformers with random weights, and the same variables of ours."""
    sizes = {"vocab_size": V, "n_positions": 12, "n_embd": 8, "n_layer": 1, "n_head": 2}
    config = transformers().GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    theirs = randomize(transformers().GPT2LMHeadModel(config)).eval()
    rules = pretrained.rules_of(GPT, "huggingface")
    entries = {name: array for name, array in entries_of(theirs).items() if name != "lm_head.weight"}
    forms = pretrained.template(GPT, (4,), "int32")
    return theirs, pretrained.convert(entries, forms, rules, dtype=np.float64)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("eos_id", "constraints", "options"),
    [
        (None, (), {}),
        (
            (0, 4),
            (
                partial(decode.forbid_end, eos_id=(0, 4), min_length=3),
                partial(decode.penalize_repetition, penalty=1.5),
                partial(decode.forbid_repeated_ngrams, n=2),
            ),
            {"min_new_tokens": 3, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
        ),
    ],
)
def test_prompts_of_different_lengths_continue_as_alone_and_as_in_transformers(eos_id, constraints, options):
    theirs, variables = peer()
    step_fn = models.step_function(GPT, variables)

    @jax.jit
    def run(prompts, lengths):
        carry = GPT.init_carry((len(prompts),), max_length=10)
        given = {"eos_id": eos_id, "prompt_lengths": lengths, "constraints": constraints}
        return decode.greedy(step_fn, carry, prompts, max_length=T, **given)

    tokens, lengths = decode.align_left(LEFT, np.stack([np.roll(m, 4 - n) for m, n in zip(MASK, LENGTHS, strict=True)]))
    np.testing.assert_array_equal(tokens, PROMPTS)
    np.testing.assert_array_equal(lengths, LENGTHS)
    out = run(PROMPTS, LENGTHS)
    for row, (prompt, length) in enumerate(zip(PROMPTS, LENGTHS, strict=True)):
        alone = run(PROMPTS[[row] * 3], LENGTHS[[row] * 3])
        jax.tree.map(lambda a, b, row=row: np.testing.assert_allclose(a[0], b[row], rtol=1e-12), alone, out)
        expected = theirs.generate(
            torch().tensor(prompt[None, :length]),
            attention_mask=torch().ones((1, int(length)), dtype=torch().long),
            max_new_tokens=T,
            do_sample=False,
            eos_token_id=None if eos_id is None else list(eos_id),
            pad_token_id=0,
            **options,
        )[0, length:].tolist()
        assert out.tokens[row, : out.lengths[row]].tolist() == expected
    if eos_id is None:  # transformers takes the padding at the left, and counts it as text in its constraints
        mask = torch().tensor(np.stack([np.roll(m, 4 - n) for m, n in zip(MASK, LENGTHS, strict=True)]))
        batch = theirs.generate(
            torch().tensor(LEFT),
            attention_mask=mask,
            max_new_tokens=T,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
        np.testing.assert_array_equal(out.tokens, batch[:, 4:])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_continues_prompts_of_different_lengths(name):
    model = MODELS[name]
    variables = jax.tree.map(lambda leaf: 4 * leaf, draw(model.init, jax.random.key(0), PROMPTS))

    @jax.jit
    def run(prompts, lengths):
        step_fn = models.step_function(model, variables)
        out = decode.greedy(step_fn, model.init_carry((3,)), prompts, max_length=T, prompt_lengths=lengths)
        logits = model.apply(variables, jnp.concatenate([PROMPTS[:1], out.tokens[:1]], axis=1))
        return out, logits

    out, logits = run(PROMPTS, LENGTHS)
    np.testing.assert_array_equal(out.tokens[0], np.argmax(logits[0, 3:-1], axis=-1))
    for row in range(3):
        alone, _ = run(PROMPTS[[row] * 3], LENGTHS[[row] * 3])
        np.testing.assert_array_equal(alone.tokens[0], out.tokens[row])
    assert len({tuple(row) for row in out.tokens.tolist()}) > 1


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("eos_id", "constraints"), [(3, ()), (None, (partial(decode.forbid_repeated_ngrams, n=2),))])
def test_beams_continue_prompts_of_different_lengths_as_alone(eos_id, constraints):
    _, variables = peer()
    variables = jax.tree.map(lambda leaf: 1.5 * leaf, variables)
    step_fn = models.step_function(GPT, variables)

    @jax.jit
    def search(prompts, lengths):
        carry = GPT.init_carry((len(prompts),), max_length=10)
        options = {"eos_id": eos_id, "pad_id": 9, "prompt_lengths": lengths, "constraints": constraints}
        return decode.beam_search(step_fn, carry, prompts, num_beams=3, max_length=T, **options)

    together = search(PROMPTS, LENGTHS)
    for row in range(3):
        alone = search(PROMPTS[[row] * 3], LENGTHS[[row] * 3])
        jax.tree.map(lambda a, b, row=row: np.testing.assert_allclose(a[0], b[row], rtol=1e-9), alone, together)
    if constraints:
        return

    @jax.jit
    def search_after(prompt):
        carry = GPT.init_carry((1,), max_length=10)
        for token in prompt[:-1]:
            carry, _ = step_fn(carry, token[None])
        options = {"eos_id": eos_id, "pad_id": 9}
        return decode.beam_search(step_fn, carry, prompt[-1:], num_beams=3, max_length=T, **options)

    whole = search_after(PROMPTS[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b[0], rtol=1e-9), whole, together)


def test_constraints_match_the_processors_of_transformers():
    library = transformers().generation.logits_process
    random = np.random.default_rng(1)
    logits, sequence = random.normal(size=(4, V)).astype(np.float32), random.integers(0, V, (4, 9))
    processors = {
        "penalty": library.RepetitionPenaltyLogitsProcessor(penalty=0.7),
        "unigrams": library.NoRepeatNGramLogitsProcessor(1),
        "bigrams": library.NoRepeatNGramLogitsProcessor(2),
        "trigrams": library.NoRepeatNGramLogitsProcessor(3),
        "end": library.MinNewTokensLengthLogitsProcessor(2, 4, [1, 5], device="cpu"),
    }
    ours = {
        "penalty": partial(decode.penalize_repetition, penalty=0.7),
        "unigrams": partial(decode.forbid_repeated_ngrams, n=1),
        "bigrams": partial(decode.forbid_repeated_ngrams, n=2),
        "trigrams": partial(decode.forbid_repeated_ngrams, n=3),
        "end": partial(decode.forbid_end, eos_id=(1, 5), min_length=4),
    }

    @jax.jit
    def run(tokens, length):
        history = decode.History(tokens, length, jnp.full(4, 2))
        return {name: constraint(logits, history) for name, constraint in ours.items()}

    for tokens in (sequence, np.sort(sequence), np.zeros((4, 9), int)):
        for length in (2, 5, 9):
            found = run(tokens, length)
            for name, processor in processors.items():
                expected = processor(torch().tensor(tokens[:, :length]), torch().tensor(logits.copy()))
                np.testing.assert_allclose(found[name], expected, rtol=1e-6, err_msg=f"{name} at {length}")


def test_beams_respect_constraints_and_every_end():
    table = np.log(np.random.default_rng(2).dirichlet(np.ones(5), 5))
    constraints = [partial(decode.forbid_repeated_ngrams, n=2), partial(decode.forbid_end, eos_id=(0, 1), min_length=2)]

    @jax.jit
    def search():
        return decode.beam_search(
            lambda carry, token: (carry, jnp.asarray(table)[token]),
            None,
            np.array([2, 3]),
            num_beams=64,
            max_length=4,
            eos_id=(0, 1),
            length_penalty=0.0,
            constraints=constraints,
        )

    out = search()
    for row, first in enumerate((2, 3)):
        best = {}
        for code in range(5**4):
            tokens = [code // 5**i % 5 for i in range(4)]
            ends = [i for i, token in enumerate(tokens) if token < 2]
            tokens = tokens[: ends[0] + 1] if ends else tokens
            pairs = list(zip([first, *tokens], tokens, strict=False))
            if len(set(pairs)) == len(pairs) and not (ends and len(tokens) < 3):
                best[tuple(tokens)] = sum(table[a, b] for a, b in pairs)
        ranked = sorted(best.items(), key=lambda pair: -pair[1])[:5]
        for found, length, (tokens, total) in zip(out.tokens[row], out.lengths[row], ranked, strict=False):
            assert tuple(found[:length].tolist()) == tokens
            assert total == pytest.approx(sum(table[a, b] for a, b in zip((first, *tokens), tokens, strict=False)))
        np.testing.assert_allclose(out.score[row, :5], [total for _, total in ranked], rtol=1e-5)


def test_a_callback_receives_every_token_when_it_is_new():
    received = []

    @jax.jit
    def run():
        return decode.greedy(
            lambda carry, token: (carry, jax.nn.one_hot((token + 1) % V, V)),
            None,
            PROMPTS,
            max_length=3,
            eos_id=6,
            prompt_lengths=LENGTHS,
            on_token=lambda tokens, is_new: received.append((tokens.tolist(), is_new.tolist())),
        )

    assert run().tokens.tolist() == [[2, 3, 4], [6, 0, 0], [0, 1, 2]]
    jax.effects_barrier()
    rows = [[t[i] for t, new in received if new[i]] for i in range(3)]
    assert rows == [[2, 3, 4], [6], [0, 1, 2]]
    assert [sum(new) for _, new in received] == [1, 1, 1, 2, 1, 1]


def test_a_window_generates_beyond_the_context_as_a_loop_over_cropped_texts():
    model = GPT.clone(context_length=4)
    variables = draw(model.init, jax.random.key(0), PROMPTS)
    apply_fn = partial(model.apply, variables)
    step_fn = decode.window_step(apply_fn, 4)

    @jax.jit
    def run():
        return decode.greedy(step_fn, decode.init_window((3,), 4), PROMPTS, max_length=8, prompt_lengths=LENGTHS).tokens

    logits_of = jax.jit(apply_fn)
    tokens = run()
    for row, length in enumerate(LENGTHS):
        text = PROMPTS[row, :length].tolist()
        for _ in range(8):
            cropped = text[-4:]
            logits = logits_of(np.array([cropped + [0] * (4 - len(cropped))]))
            text.append(int(np.argmax(logits[0, len(cropped) - 1])))
        assert text[length:] == tokens[row].tolist()


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: decode.align_left([[1, 0, 2]], [[1, 0, 1]]), r"got \[1, 0, 1\]"),
        (lambda: decode.align_left([[1, 0]], [[0, 0]]), r"got \[0, 0\]"),
        (lambda: decode.align_left([1, 0], [1, 1]), r"got \(2,\)"),
        (lambda: decode.window_step(lambda x: x, 0), "got 0"),
        (lambda: decode.end_tokens((1, 9), 5), "got 9"),
        (lambda: decode.greedy(None, None, PROMPTS, max_length=1, prompt_lengths=[0, 1, 1]), r"got \[0, 1, 1\]"),
        (lambda: decode.greedy(None, None, PROMPTS, max_length=1, prompt_lengths=[1, 1]), r"got \[1, 1\]"),
        (
            lambda: decode.beam_search(None, None, PROMPTS, num_beams=1, max_length=1, prompt_lengths=[5, 1, 1]),
            r"got \[5, 1, 1\]",
        ),
        (
            lambda: decode.penalize_repetition(np.zeros((1, 2)), decode.History(PROMPTS, 1, LENGTHS), penalty=0.0),
            "got 0.0",
        ),
        (lambda: decode.forbid_repeated_ngrams(np.zeros((1, 2)), decode.History(PROMPTS, 1, LENGTHS), n=0), "got 0"),
    ],
)
def test_invalid_arguments_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call()
