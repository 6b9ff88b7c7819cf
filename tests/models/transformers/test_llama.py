"""Llama against transformers: logits, gradients, files, padding, generated tokens; its cache, its scanned blocks."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses, nn, pretrained, tasks, tree
from jaxdl.models.scanning import stack_blocks
from jaxdl.models.stepping import step_function
from jaxdl.models.transformers.llama import Llama
from tests.models.parity import randomize
from tests.peers import torch, transformers

SIZES = {"vocab_size": 7, "d_model": 16, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "mlp_dim": 12}
MODEL = Llama(**SIZES, context_length=9, epsilon=1e-3, rope_base=30.0)
TOKENS = np.random.default_rng(0).integers(0, 7, (2, 6))
LEFT = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
# The peer computes norms and angles in float32 whatever the dtype.
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
exact = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


def random_variables(model=MODEL):
    forms = pretrained.template(model, (3,), "int32")
    generator = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape) / 2, forms)


def peer_of(**settings):
    library = transformers()
    config = library.LlamaConfig(
        vocab_size=7,
        hidden_size=16,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=9,
        rms_norm_eps=1e-3,
        rope_parameters={"rope_type": "default", "rope_theta": 30.0},
        bos_token_id=0,
        eos_token_id=0,
        **settings,
    )
    return randomize(library.LlamaForCausalLM(config))


@pytest.mark.parametrize("settings", [{}, {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}])
@pytest.mark.usefixtures("float64")
def test_logits_gradients_padding_files_and_generated_tokens_match_transformers(tmp_path, settings):
    peer, x, mask = peer_of(**settings), torch().tensor(TOKENS), torch().tensor(LEFT)
    expected = peer(x, attention_mask=mask).logits
    valid = LEFT.astype(bool)
    torch().nn.functional.cross_entropy(expected[mask.bool()], x[mask.bool()]).backward()
    peer.save_pretrained(tmp_path)
    model, loaded = pretrained.load_folder(tmp_path)
    biases = bool(settings)
    assert model == MODEL.clone(tied=biases, attention_bias=biases, mlp_bias=biases, head_dim=4)
    entries = pretrained.read(tmp_path)
    rules = pretrained.rules_of(model, "huggingface")
    variables = pretrained.convert(entries, loaded, rules, dtype=np.float64)
    again = pretrained.to_theirs(tree.flatten(variables), rules)
    assert all((again[name] == entries[name]).all() for name in entries.keys() | again.keys())

    @jax.jit
    def run(variables):
        def loss(variables):
            logits = model.apply(variables, TOKENS, mask=jnp.asarray(LEFT))
            return losses.cross_entropy(logits, TOKENS, mask=LEFT), logits

        carry = model.init_carry((2,), max_length=9)
        options = {"mask": jnp.asarray(LEFT)[:, :-1], "return_intermediates": True}
        _, intermediates = model.apply(variables, TOKENS[:, :-1], carry, **options)
        generated = decode.greedy(step_function(model, variables), intermediates["carry"], TOKENS[:, -1], max_length=3)
        return jax.grad(loss, has_aux=True)(variables), generated.tokens

    (gradient, logits), generated = run(variables)
    close(logits[valid], expected.detach().numpy()[valid])
    ours = pretrained.to_theirs(tree.flatten(gradient), rules)
    theirs = {name: leaf.grad.numpy() for name, leaf in peer.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        close(leaf, theirs[name], err_msg=name)
    peer.eval()
    options = {"do_sample": False, "max_new_tokens": 3, "eos_token_id": None, "pad_token_id": 0}
    expected = peer.generate(x, attention_mask=mask, **options)
    np.testing.assert_array_equal(generated, expected[:, 6:].numpy())


@pytest.mark.usefixtures("float64")
def test_rows_with_padding_match_rows_alone_and_steps_match_the_whole():
    padded = TOKENS.copy()
    padded[1, :2] = [-100, 99]  # whatever its values

    @jax.jit
    def run(variables):
        carry, step = MODEL.init_carry((2,), max_length=6), step_function(MODEL, variables)
        options = {"mask": jnp.asarray(LEFT)[:, :4], "return_intermediates": True}
        logits, intermediates = MODEL.apply(variables, padded[:, :4], carry, **options)
        carry, logits = intermediates["carry"], [logits]
        for t in range(4, 6):
            carry, now = step(carry, TOKENS[:, t])
            logits.append(now[:, None])
        _, beyond = step(carry, TOKENS[:, 0])
        alone = MODEL.apply(variables, TOKENS[:1]), MODEL.apply(variables, TOKENS[1:, 2:])
        right = jnp.concatenate([padded[:, 2:], padded[:, :2]], axis=1)
        return jnp.concatenate(logits, axis=1), alone, MODEL.apply(variables, right, lengths=jnp.array([6, 4])), beyond

    parts, alone, right, beyond = run(random_variables())
    exact(parts[:1], alone[0])
    exact(parts[1:, 2:], alone[1])
    exact(right[1:, :4], alone[1])
    assert np.isfinite(parts).all()
    assert jnp.isnan(beyond).all()


@pytest.mark.usefixtures("float64")
def test_blocks_are_causal_and_scanned_blocks_match():
    scanned = MODEL.clone(scan_blocks=True)

    @jax.jit
    def run(variables, tokens):
        options = {"return_intermediates": True, "mask": jnp.asarray(LEFT)}
        other = scanned.apply(stack_blocks(variables), tokens, **options)
        return MODEL.apply(variables, tokens, **options), other

    unrolled, other = run(random_variables(), TOKENS)
    jax.tree.map(exact, other, unrolled)
    names = ["decoder_block1", "decoder_block1_attention", "decoder_block2", "decoder_block2_attention"]
    assert sorted(unrolled[1]) == [*names, "embedded", "encoded"]
    assert unrolled[1]["decoder_block1_attention"].shape == (2, 4, 6, 6)
    later = TOKENS.copy()
    later[:, 4:] = 6 - later[:, 4:]
    other = run(random_variables(), later)[0][0]
    np.testing.assert_array_equal(other[:, :4], unrolled[0][:, :4])
    assert (other[:, 4:] != unrolled[0][:, 4:]).any()


@pytest.mark.usefixtures("float64")
def test_the_language_task_learns_without_the_weights_of_attention():
    task, variables = tasks.language_model(MODEL.clone(scan_blocks=True)), stack_blocks(random_variables())
    batch = {"token": TOKENS[:, :-1], "target": TOKENS[:, 1:], "mask": np.ones((2, 5))}
    jaxpr, (loss, _) = jax.make_jaxpr(task.loss, return_shape=True)(variables, batch, jax.random.key(0))
    assert loss.shape == ()
    stacked = [out.aval.shape for eqn in jaxpr.eqns if eqn.primitive.name == "scan" for out in eqn.outvars]
    assert stacked
    assert not [shape for shape in stacked if shape[-2:] == (5, 5)]

    @jax.jit
    def run():
        tied, pairs = MODEL.clone(tied=True), []
        for model in (MODEL, tied):
            own, logits = tasks.language_model(model), model.apply(random_variables(model), TOKENS[:, :-1])
            expected = losses.cross_entropy(logits, TOKENS[:, 1:])
            pairs.append((own.measure(random_variables(model), batch)["loss"].value, expected))
            pairs.append((own.loss(random_variables(model), batch, jax.random.key(0))[0], expected))
        return [*pairs, (task.measure(variables, batch)["loss"].value, pairs[0][1])]

    for loss, expected in run():
        exact(loss, expected)


def test_caches_hold_the_shared_heads_in_the_dtype_of_the_computation():
    model = MODEL.clone(dtype=jnp.bfloat16)
    carry = model.init_carry((2,))
    assert {(cache.k.shape, cache.k.dtype) for cache in carry.caches} == {((2, 2, 9, 4), jnp.dtype(jnp.bfloat16))}
    variables = pretrained.template(model, (3,), "int32")
    after, logits = jax.eval_shape(lambda v: step_function(model, v)(carry, TOKENS[:, 0]), variables)
    assert logits.dtype == jnp.bfloat16
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, carry)


def test_an_additive_mask_gives_nan_where_it_is_traced():
    mask = np.where(LEFT == 0, -1e9, 0.0)
    model = MODEL.clone(num_layers=1)
    variables = jax.tree.map(np.float32, random_variables(model))
    logits = jax.jit(partial(model.apply, variables, TOKENS))(mask=mask)
    assert np.isnan(logits).all(axis=(1, 2)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_type='default'.* got 'llama3'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "got 'linear'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "got 'yarn'"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings to be true or false, got 'yes'"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "got 'LlamaForSequenceClassification'"),
        ({"rope_theta": "1e4"}, "rope_theta to be a number, got '1e4'"),
    ],
)
def test_settings_that_the_model_does_not_compute_are_refused(tmp_path, settings, message):
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]} | settings
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        pretrained.load_folder(tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pretrained.template(MODEL, (10,), "int32"), "9 .* 10"),
        (lambda: pretrained.template(MODEL, (3,)), r"\(1, 3\) of float32"),
        (lambda: MODEL.init_carry((1,), max_length=10), "9, got 10"),
        (lambda: pretrained.template(MODEL.clone(num_kv_heads=3), (3,), "int32"), "num_heads = 4, got 3"),
        (lambda: pretrained.template(MODEL.clone(num_heads=3), (3,), "int32"), "d_model = 16, got 3"),
        (lambda: pretrained.template(MODEL.clone(num_layers=0), (3,), "int32"), "num_layers .* got 0"),
        (lambda: apply(mask=np.ones((2, 5))), r"\(2, 6\), got \(2, 5\)"),
        (lambda: apply(mask=-np.ones((2, 6))), "got -1"),
        (lambda: apply(mask=np.ones((2, 6)), lengths=np.array([1, 2])), "got both"),
        (lambda: apply(lengths=np.array([1, 2, 3])), r"\(2,\).* got \(3,\)"),
        (lambda: nn.split_heads(8, 0), "got 0"),
        (lambda: pretrained.rules_of(MODEL.clone(scan_blocks=True), "huggingface"), "scan_blocks"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def apply(**options):
    return jax.eval_shape(lambda variables: MODEL.apply(variables, TOKENS, **options), random_variables())
