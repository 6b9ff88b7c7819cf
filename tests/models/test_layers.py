"""Tokens outside of a vocabulary, padding of any value, and batches without examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.models.layers import Embed
from jaxdl.nn.recurrent.cells import GRU

V = 5
SMALL = {"d_model": 4, "num_layers": 1, "num_heads": 1}
TOKENS = np.array([[1, 4, 2]])
USERS = {
    "language model": (models.RecurrentLanguageModel(V, embedding_dim=3, cell=GRU(2)), {}),
    "gpt": (models.GPT(V, context_length=3, **SMALL), {}),
    "bert": (models.BERT(vocab_size=V, context_length=3, mlp_dim=4, **SMALL), {}),
    "transformer": (models.Transformer(V, mlp_dim=4, **SMALL), {"target_in": TOKENS}),
    "encoder-decoder": (models.EncoderDecoder(V, V, cell=GRU(2), embedding_dim=3), {"target_in": TOKENS}),
    "wavenet": (models.WaveNet(V, dilations=(1,), residual_channels=2, gate_channels=2, skip_channels=2), {}),
    "averaging": (models.AveragingNetwork(V, embedding_dim=3, hidden_sizes=()), {}),
    "tagger": (models.Tagger(V, 2, embedding_dim=3, cell=GRU(2)), {}),
}
PADDED = ("averaging", "tagger", "transformer", "bert", "encoder-decoder")


def variables_of(model, options):
    form = jax.eval_shape(model.init, jax.random.key(0), TOKENS, **options)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), form)


@pytest.mark.parametrize("name", USERS)
def test_a_token_outside_of_the_vocabulary_raises_or_gives_nan(name):
    model, options = USERS[name]
    variables = variables_of(model, options)
    outside = np.array([[1, -1, 2], [1, V, 2], [1, 4, 2]])
    if options:
        options = {"target_in": np.repeat(TOKENS, 3, axis=0)}
    for row, value in ((0, -1), (1, V)):
        one = {key: array[:1] for key, array in options.items()}
        with pytest.raises(ValueError, match=f"0 .. {V - 1}, got {value}"):
            model.apply(variables, outside[row : row + 1], **one)
    y = jax.jit(lambda x: model.apply(variables, x, **options))(outside)
    bad = np.isnan(np.asarray(y).reshape(3, -1)).any(axis=1)
    assert bad.tolist() == [True, True, False]


@pytest.mark.parametrize("name", PADDED)
def test_the_padding_may_have_any_value(name):
    model, options = USERS[name]
    lengths = {"transformer": "source_lengths", "encoder-decoder": "source_lengths"}.get(name, "lengths")
    padding = {"mask": np.array([[1, 1, 0]])} if name == "bert" else {lengths: np.array([2])}
    variables = variables_of(model, options)
    run = jax.jit(lambda x: model.apply(variables, x, **options, **padding))
    expected = run(TOKENS)
    valid = expected[:, :2] if name in ("bert", "tagger") else expected
    for value in (-100, V):
        y = run(np.array([[1, 4, value]]))
        np.testing.assert_allclose(y[:, :2] if name in ("bert", "tagger") else y, valid, rtol=1e-6)


def test_a_vocabulary_of_one_token_and_bytes_have_their_rows():
    table = {"params": {"embedding": jnp.arange(600.0).reshape(300, 2)}}
    assert Embed(300, 2).apply(table, np.array([255], np.uint8)).tolist() == [[510, 511]]
    one = {"params": {"embedding": jnp.ones((1, 2))}}
    assert np.isnan(jax.jit(Embed(1, 2).apply)(one, jnp.array([1]))).all()
    with pytest.raises(ValueError, match="got float32"):
        Embed(1, 2).apply(one, np.zeros(1, np.float32))


def test_bert_refuses_a_mask_that_is_added_to_scores():
    model, _ = USERS["bert"]
    variables = variables_of(model, {})
    added = np.array([[0.0, 0.0, -1e4]])
    with pytest.raises(ValueError, match="got -10000"):
        model.apply(variables, TOKENS, mask=added)
    with pytest.raises(ValueError, match=r"\(1, 3\), got \(1, 1, 1, 3\)"):
        model.apply(variables, TOKENS, mask=np.ones((1, 1, 1, 3)))
    run = jax.jit(lambda mask: model.apply(variables, TOKENS, mask=mask))
    assert np.isnan(run(added)).all()
    np.testing.assert_allclose(run(added == 0), run((added == 0).astype(np.float32)), rtol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        models.ResNet(depths=(1,), widths=(4,), stem="cifar"),
        models.DenseNet(growth_rate=2, depths=(1,), stem="cifar"),
        models.GoogLeNet(width=0.1, modules=("inception3a",)),
        models.VisionTransformer(patch_size=16, mlp_dim=4, **SMALL),
        models.LeNet5(),
        models.MLP(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_batch_may_have_no_examples(model):
    one, none = (jax.ShapeDtypeStruct((count, 32, 32, 3), np.float32) for count in (1, 0))
    variables = jax.eval_shape(model.init, jax.random.key(0), one)
    assert jax.eval_shape(model.apply, variables, none).shape[0] == 0


def test_pixels_in_bytes_are_converted_as_numbers():
    from jaxdl.models.vision.googlenet import standardized_to_half

    x = np.array([[0, 1, 2], [255, 7, 9]], np.uint8)
    np.testing.assert_array_equal(standardized_to_half(x), standardized_to_half(x.astype(np.float32)))
