"""BERT against transformers: each head, with padding and segments; files in both directions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import pretrained, tree
from jaxdl.models.transformers.bert import BERT
from tests.models.parity import randomize
from tests.peers import torch, transformers

MODEL = BERT(
    vocab_size=7,
    context_length=6,
    d_model=8,
    num_layers=2,
    num_heads=2,
    mlp_dim=12,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
)
TOKENS = np.random.default_rng(0).integers(1, 7, (2, 5))  # without 0, the padding token of torch, which has no gradient
SEGMENT = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
CLASSES = {
    "masked_language_model": "BertForMaskedLM",
    "classification": "BertForSequenceClassification",
}
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.usefixtures("float64")
def test_outputs_gradients_and_files_match_transformers(head, tmp_path):
    library = transformers()
    depth = 1 if head == "classification" else 2
    sizes = {"hidden_size": 8, "num_hidden_layers": depth, "num_attention_heads": 2, "intermediate_size": 12}
    sizes |= {"vocab_size": 7, "max_position_embeddings": 6, "num_labels": 3}
    config = library.BertConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    peer = randomize(getattr(library, CLASSES[head])(config))
    x, segment, mask = (torch().tensor(array) for array in (TOKENS, SEGMENT, MASK))
    output = peer(input_ids=x, token_type_ids=segment, attention_mask=mask)
    # The outputs at padding are not compared.
    expected = output.logits if head == "classification" else output.logits * mask[..., None]
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    expected.backward(torch().tensor(cotangent))

    peer.save_pretrained(tmp_path)
    entries = pretrained.read(tmp_path / "model.safetensors")
    model = MODEL.clone(head=head, num_layers=depth, num_classes=3)
    rules = pretrained.rules_of(model, "huggingface")
    variables = pretrained.convert(entries, pretrained.template(model, (5,), "int32"), rules, dtype=np.float64)
    again = pretrained.to_theirs(tree.flatten(variables), rules)
    assert again.keys() == entries.keys()
    assert all((again[name] == entries[name]).all() for name in entries)

    @jax.jit
    def run(variables):
        def outputs(variables):
            y, intermediates = model.apply(variables, TOKENS, SEGMENT, MASK, return_intermediates=True)
            return (y if head == "classification" else y * MASK[..., None]), intermediates

        y, pull, intermediates = jax.vjp(outputs, variables, has_aux=True)
        return y, *pull(cotangent), intermediates

    y, gradient, intermediates = run(variables)
    close(y, expected.detach().numpy())
    ours = pretrained.to_theirs(tree.flatten(gradient), rules)
    theirs = {name: leaf.grad.numpy() for name, leaf in peer.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        close(leaf, theirs[name], atol=1e-10, err_msg=name)
    if head == "classification":
        base = {name.removeprefix("bert."): leaf for name, leaf in entries.items() if name.startswith("bert.")}
        body = model.clone(head=None)
        rules = pretrained.rules_of(body, "huggingface_model")
        vectors, seen = jax.jit(lambda v: body.apply(v, TOKENS, SEGMENT, MASK, return_intermediates=True))(
            pretrained.convert(base, pretrained.template(body, (5,), "int32"), rules, dtype=np.float64)
        )
        expected = peer.bert(input_ids=x, token_type_ids=segment, attention_mask=mask)
        close(vectors, expected.last_hidden_state.detach().numpy())
        close(seen["pooled"], expected.pooler_output.detach().numpy())
        close(intermediates["pooled"], seen["pooled"])
        rules = pretrained.rules_of(body, "huggingface")
        loaded = pretrained.convert(entries, pretrained.template(body, (5,), "int32"), rules, dtype=np.float64)
        rest = {name: leaf for name, leaf in variables["params"].items() if name != "output"}
        jax.tree.map(np.testing.assert_array_equal, loaded["params"], rest)


def test_published_files_of_pretraining_load_into_two_heads():
    """They have the weights of both heads, and norms with ``gamma`` and ``beta``."""
    forms = {head: pretrained.template(MODEL.clone(head=head), (5,), "int32") for head in (None, *CLASSES)}
    generator, entries = np.random.default_rng(0), {}
    for head in (None, "masked_language_model"):
        drawn = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape), forms[head])
        rules = pretrained.rules_of(MODEL.clone(head=head), "huggingface_first")
        entries |= pretrained.to_theirs(tree.flatten(drawn), rules)
    assert "bert.embeddings.LayerNorm.gamma" in entries
    entries["cls.seq_relationship.weight"] = np.zeros((2, 8))
    entries["cls.predictions.decoder.weight"] = entries["bert.embeddings.word_embeddings.weight"].copy()
    for head in (None, "masked_language_model"):
        rules = pretrained.rules_of(MODEL.clone(head=head), "huggingface_first")
        loaded = pretrained.convert(entries, forms[head], rules)
        np.testing.assert_array_equal(
            loaded["params"]["embedding_norm"]["scale"], entries["bert.embeddings.LayerNorm.gamma"].astype(np.float32)
        )
    untied = entries | {"cls.predictions.decoder.bias": np.ones(7)}
    with pytest.raises(ValueError, match=r"untied: cls\.predictions\.decoder\.bias \[7\] differs"):
        pretrained.convert(untied, forms["masked_language_model"], rules)
    rules = pretrained.rules_of(MODEL.clone(head="classification"), "huggingface_first")
    with pytest.raises(ValueError, match=r"missing: classifier\.bias"):
        pretrained.convert(entries, forms["classification"], rules)


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (MODEL, [np.zeros((2, 7), int)], "6 .* 7"),
        (MODEL, [np.zeros(3, int)], r"x .* \(3,\)"),
        (MODEL, [TOKENS, SEGMENT * 1.0], r"segment .* \(2, 5\) of float"),
        (MODEL, [TOKENS, SEGMENT[:, :1]], r"\(2, 5\), got \(2, 1\)"),
        (MODEL.clone(head="tagging"), [TOKENS], "masked_language_model.*got 'tagging'"),
    ],
)
def test_invalid_arguments_raise(model, inputs, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), *inputs)


def test_segments_in_the_padding_may_hold_anything(key):
    variables = MODEL.init(key, TOKENS)

    @jax.jit
    def gradient(segment):
        def total(variables):
            return jnp.sum(jnp.square(MODEL.apply(variables, TOKENS, segment=segment, mask=MASK)[MASK != 0]))

        return jax.value_and_grad(total)(variables)

    found = gradient(SEGMENT), gradient(np.where(MASK != 0, SEGMENT, -100))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), *found)
