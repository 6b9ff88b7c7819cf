"""GPT against transformers: logits, gradients and generated tokens; its cache, its task, its scanned blocks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses, models, pretrained, tasks, tree
from jaxdl.models.scanning import stack_blocks
from jaxdl.models.stepping import step_function
from jaxdl.models.transformers.gpt import GPT
from jaxdl.tasks.task import init_model
from tests.models.parity import randomize
from tests.peers import torch, transformers

MODEL = GPT(
    vocab_size=7, context_length=9, d_model=8, num_layers=2, num_heads=2, dropout_rate=0.0, attention_dropout_rate=0.0
)
TOKENS = np.random.default_rng(0).integers(0, 7, (2, 6))
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


def random_variables(model=MODEL):
    forms = pretrained.template(model, (3,), "int32")
    generator = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape) / 2, forms)


@pytest.mark.usefixtures("float64")
def test_logits_gradients_files_and_generated_tokens_match_transformers(tmp_path):
    library, kind = transformers(), transformers().GPT2Config
    sizes = {"vocab_size": 7, "n_positions": 9, "n_embd": 8, "n_layer": 2, "n_head": 2}
    config = kind(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)
    peer = randomize(library.GPT2LMHeadModel(config))
    x = torch().tensor(TOKENS)
    expected = peer(x).logits
    target = torch().tensor(TOKENS.reshape(-1))
    torch().nn.functional.cross_entropy(expected.reshape(-1, 7), target).backward()
    peer.save_pretrained(tmp_path)
    entries = pretrained.read(tmp_path / "model.safetensors")
    rules = pretrained.rules_of(MODEL, "huggingface")
    variables = pretrained.convert(entries, pretrained.template(MODEL, (9,), "int32"), rules, dtype=np.float64)
    again = pretrained.to_theirs(tree.flatten(variables), rules)
    assert again.keys() == entries.keys()
    assert all((again[name] == entries[name]).all() for name in entries)

    @jax.jit
    def run(variables):
        def loss(variables):
            logits = MODEL.apply(variables, TOKENS)
            return losses.cross_entropy(logits, TOKENS), logits

        carry = MODEL.init_carry((2,), max_length=9)
        _, intermediates = MODEL.apply(variables, TOKENS[:, :-1], carry, return_intermediates=True)
        generated = decode.greedy(step_function(MODEL, variables), intermediates["carry"], TOKENS[:, -1], max_length=3)
        return jax.grad(loss, has_aux=True)(variables), generated.tokens

    (gradient, logits), generated = run(variables)
    close(logits, expected.detach().numpy())
    ours = pretrained.to_theirs(tree.flatten(gradient), rules)
    theirs = {name: leaf.grad.numpy() for name, leaf in peer.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        close(leaf, theirs[name], err_msg=name)
    peer.eval()
    options = {"do_sample": False, "max_new_tokens": 3, "eos_token_id": None, "pad_token_id": 0}
    expected = peer.generate(x, attention_mask=torch().ones_like(x), **options)
    np.testing.assert_array_equal(generated, expected[:, 6:].numpy())

    first = {name.removeprefix("transformer."): value for name, value in entries.items()}
    first |= {f"h.{n}.attn.bias": np.ones((1, 1, 9, 9)) for n in range(2)}
    published = pretrained.convert(first, variables, pretrained.rules_of(MODEL, "huggingface_model"))
    jax.tree.map(np.testing.assert_array_equal, published, variables)


@pytest.mark.usefixtures("float64")
def test_a_prompt_and_single_steps_match_the_whole():
    @jax.jit
    def run(variables):
        carry, step = MODEL.init_carry((2,), max_length=6), step_function(MODEL, variables)
        logits, intermediates = MODEL.apply(variables, TOKENS[:, :3], carry, return_intermediates=True)
        carry, logits = intermediates["carry"], [logits]
        for t in range(3, 6):
            carry, now = step(carry, TOKENS[:, t])
            logits.append(now[:, None])
        _, beyond = step(carry, TOKENS[:, 0])
        return jnp.concatenate(logits, axis=1), MODEL.apply(variables, TOKENS), beyond

    parts, whole, beyond = run(random_variables())
    close(parts, whole, rtol=1e-10)
    assert jnp.isnan(beyond).all()


@pytest.mark.usefixtures("float64")
def test_blocks_are_causal_and_scanned_blocks_match():
    scanned = MODEL.clone(scan_blocks=True)

    @jax.jit
    def run(variables, tokens):
        other = scanned.apply(stack_blocks(variables), tokens, return_intermediates=True)
        return MODEL.apply(variables, tokens, return_intermediates=True), other

    unrolled, other = run(random_variables(), TOKENS)
    jax.tree.map(close, other, unrolled)
    names = ["decoder_block1", "decoder_block1_attention", "decoder_block2", "decoder_block2_attention"]
    assert sorted(unrolled[1]) == [*names, "embedded", "encoded"]
    later = TOKENS.copy()
    later[:, 4:] = 6 - later[:, 4:]
    other = run(random_variables(), later)[0][0]
    np.testing.assert_array_equal(other[:, :4], unrolled[0][:, :4])
    assert (other[:, 4:] != unrolled[0][:, 4:]).any()


@pytest.mark.usefixtures("float64")
def test_the_language_task_over_independent_rows():
    task, mask = tasks.language_model(MODEL.clone(num_layers=1), unit="character", window=3), np.ones((2, 5))
    mask[1, :2] = 0
    batch = {"token": TOKENS[:, :-1], "target": TOKENS[:, 1:], "mask": mask}

    @jax.jit
    def run(variables):
        value, (collections, _) = task.loss(variables, batch, jax.random.key(0))
        logits = MODEL.clone(num_layers=1).apply(variables, batch["token"])
        expected = losses.cross_entropy(logits, batch["target"], mask=mask)
        return value, task.measure(variables, batch)["loss"].value, expected, collections

    value, measured, expected, collections = run(random_variables(MODEL.clone(num_layers=1)))
    close(value, expected)
    close(measured, expected)
    assert collections == {}


def test_the_initial_scale_of_residual_branches_falls_with_depth():
    for depth in (2, 4):
        model = MODEL.clone(num_layers=depth, d_model=64, mlp_dim=64)
        block = init_model(model, jax.random.key(0), TOKENS)["params"]["decoder_block1"]
        for part in (block["attention"]["output"], block["dense2"]):
            np.testing.assert_allclose(part["kernel"].std(), 0.02 / (2 * depth) ** 0.5, rtol=0.05)
        np.testing.assert_allclose(block["dense1"]["kernel"].std(), 0.02, rtol=0.05)


@pytest.mark.parametrize("dtype", [None, jnp.float32])
def test_caches_have_the_dtype_of_the_computation_or_the_given_one(dtype):
    model = MODEL.clone(dtype=jnp.bfloat16)
    carry = model.init_carry((2,), dtype=dtype)
    assert {cache.k.dtype for cache in carry} == {jnp.dtype(dtype or jnp.bfloat16)}
    variables = pretrained.template(model, (3,), "int32")
    after, logits = jax.eval_shape(lambda v: step_function(model, v)(carry, TOKENS[:, 0]), variables)
    assert logits.dtype == jnp.bfloat16
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, carry)


def train_on_windows():
    task, batch = tasks.language_model(MODEL), {"token": TOKENS, "target": TOKENS, "start": np.ones(2)}
    return task.loss(task.init(jax.random.key(0), batch), batch, jax.random.key(1))


def test_exported_weights_load_by_name():
    small = {"vocab_size": 7, "d_model": 8, "num_layers": 1, "num_heads": 2}
    variables = random_variables(models.create("gpt_tiny", **small))
    entries = pretrained.export("gpt_tiny", variables, "huggingface", **small)
    assert entries["transformer.h.0.attn.c_attn.weight"].shape == (8, 24)
    again = pretrained.load("gpt_tiny", entries, "huggingface", **small)
    jax.tree.map(np.testing.assert_array_equal, again, jax.tree.map(np.float32, variables))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pretrained.template(MODEL, (10,), "int32"), "9 .* 10"),
        (lambda: pretrained.template(MODEL, (3,)), r"\(1, 3\) of float32"),
        (lambda: MODEL.init_carry((1,), max_length=10), "9, got 10"),
        (
            lambda: jax.eval_shape(MODEL.clone(scan_blocks=True).init, jax.random.key(0), TOKENS, ()),
            "scan_blocks=True",
        ),
        (
            lambda: jax.eval_shape(MODEL.init, jax.random.key(0), TOKENS, ()),
            "2 caches.* got 0",
        ),
        (lambda: pretrained.template(MODEL.clone(num_layers=0), (3,), "int32"), "num_layers .* got 0"),
        (lambda: MODEL.clone(d_model=9).init_carry((1,)), "d_model = 9, got 2"),
        (lambda: jax.eval_shape(train_on_windows), "whose carry is a cache"),
        (lambda: pretrained.rules_of(MODEL.clone(scan_blocks=True), "huggingface"), "scan_blocks"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
