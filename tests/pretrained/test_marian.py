"""Marian against transformers: logits, gradients, generated tokens and files."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, models, pretrained, tree
from tests.models.parity import randomize
from tests.peers import torch, transformers

SOURCE = np.array([[1, 4, 2, 5], [3, 6, 0, 0]])
LENGTHS = np.array([4, 2])
TARGET = np.array([[0, 2, 6], [0, 5, 4]])
V, D = 7, 8
SIZES = {f"{stack}_{name}": size for stack in ("encoder", "decoder") for name, size in (("layers", 2), ("ffn_dim", 12))}
SIZES |= {f"{stack}_attention_heads": 2 for stack in ("encoder", "decoder")}
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-10)


def peer_of():
    library = transformers()
    rates = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "forced_eos_token_id": None}
    settings = {"max_position_embeddings": 9, "scale_embedding": True, "activation_function": "swish"}
    peer = randomize(
        library.MarianMTModel(library.MarianConfig(vocab_size=V, d_model=D, **SIZES, **rates, **tokens, **settings))
    )
    angles = np.arange(9)[:, None] / 10_000 ** (np.arange(0, D, 2) / D)
    table = torch().tensor(np.concatenate([np.sin(angles), np.cos(angles)], axis=1))
    for stack in (peer.model.encoder, peer.model.decoder):
        stack.embed_positions.weight.data = table
    return peer.eval()


@pytest.mark.usefixtures("float64")
def test_logits_gradients_files_and_generated_tokens_match_transformers(tmp_path):
    peer = peer_of()
    source, mask, target = (torch().tensor(x) for x in (SOURCE, np.arange(4) < LENGTHS[:, None], TARGET))
    expected = peer(source, attention_mask=mask.long(), decoder_input_ids=target).logits
    cotangent = np.random.default_rng(0).normal(size=expected.shape)
    expected.backward(torch().tensor(cotangent))
    peer.save_pretrained(tmp_path)
    model, loaded = pretrained.load_marian(tmp_path)
    assert model == models.Transformer(
        V, d_model=D, num_layers=2, num_heads=2, mlp_dim=12, activation="silu", dropout_rate=0.0, output_bias=True
    )
    entries, rules = pretrained.read(tmp_path), pretrained.rules_of(model, "huggingface")
    variables = pretrained.convert(entries, loaded, rules, dtype=np.float64)
    again = pretrained.to_theirs(tree.flatten(variables), rules)
    assert all((again[name] == entries[name]).all() for name in again)

    @jax.jit
    def run(params):
        logits, pull = jax.vjp(lambda params: model.apply({"params": params}, SOURCE, TARGET, LENGTHS), params)
        carry = model.apply({"params": params}, SOURCE, LENGTHS, max_length=4, method="init_carry")
        step_fn = models.step_function(model, {"params": params})
        generated = decode.greedy(step_fn, carry, jnp.zeros(2, int), max_length=4, eos_id=1)
        return logits, pull(jnp.asarray(cotangent))[0], generated.tokens

    logits, gradient, generated = run(variables["params"])
    close(logits, expected.detach().numpy())
    ours = pretrained.to_theirs(tree.flatten({"params": gradient}), rules)
    theirs = {name: leaf.grad.numpy() for name, leaf in peer.named_parameters() if leaf.grad is not None}
    assert ours.keys() == {*theirs, "final_logits_bias"}  # a buffer there
    for name, leaf in theirs.items():
        close(ours[name], leaf, err_msg=name)
    close(ours["final_logits_bias"][0], cotangent.sum(axis=(0, 1)))
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": 4, "bad_words_ids": None}
    found = peer.generate(source, attention_mask=mask.long(), **options)[:, 1:].numpy()
    np.testing.assert_array_equal(generated[:, : found.shape[1]], found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "t5"}, "model_type='marian', got 't5'"),
        ({"scale_embedding": False}, "scale_embedding=True, got False"),
        ({"share_encoder_decoder_embeddings": False}, "got False"),
        ({"decoder_layers": 3}, r"encoder_layers and decoder_layers, got \(2, 3\)"),
        ({"d_model": "8"}, r"got \('8', '8'\)"),
        ({"activation_function": "mish"}, "got 'mish'"),
    ],
)
def test_settings_that_the_model_does_not_compute_are_refused(tmp_path, settings, message):
    config = {"model_type": "marian", "vocab_size": V, "d_model": D, "scale_embedding": True, **SIZES, **settings}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        pretrained.load_marian(tmp_path)


def test_damaged_and_missing_settings_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        pretrained.load_marian(tmp_path)
    for content in ("[1]", "{", "{}"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match="is no configuration of a Marian model"):
            pretrained.load_marian(tmp_path)
