"""The protocol of generation, `init_carry` and `step`, of every model that has it; old names of fields."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxdl import decode, models
from jaxdl.models import sequence, transformers
from jaxdl.nn.recurrent.cells import GRU, LSTM

V, B = 5, 2
TOKENS, DIALOGUES = jnp.ones((B, 3), int), jnp.ones((B, 2, 3), int)
SMALL = {"d_model": 4, "num_layers": 1, "num_heads": 1, "mlp_dim": 4}
LANGUAGE_MODELS = {
    "recurrent": models.RecurrentLanguageModel(V, LSTM(3), 2, num_layers=2),
    "gpt": models.GPT(vocab_size=V, context_length=4, **SMALL),
    "wavenet": models.WaveNet(V, dilations=(1, 2), residual_channels=2, gate_channels=2, skip_channels=2),
}
ENCODER_DECODERS = {
    **{
        context: (models.EncoderDecoder(V, V, GRU(3), context=context), TOKENS) for context in ("initial", "every_step")
    },
    "attention": (models.EncoderDecoder(V, V, LSTM(3), num_layers=2), TOKENS),
    "luong": (models.LuongEncoderDecoder(V, V, LSTM(3), 2, num_layers=2), TOKENS),
    "captioner": (models.Captioner(V, cell=GRU(3)), jnp.ones((B, 2, 2, 3))),
    "hierarchical": (models.HierarchicalEncoderDecoder(V, V, GRU(3)), DIALOGUES),
    "transformer": (models.Transformer(V, **SMALL), TOKENS),
}
CLASSES = {
    f"{package.__name__}.{name}": getattr(package, name)
    for package in (sequence, transformers)
    for name in package.__all__
    if hasattr(getattr(package, name), "_renamed_fields")
}


@functools.cache
def initialize(name):
    """Return a model, the shapes of its variables, and the shape of its first carry."""
    if name in LANGUAGE_MODELS:
        model = LANGUAGE_MODELS[name]
        variables = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
        return model, variables, jax.eval_shape(lambda: model.init_carry((B,)))
    model, source = ENCODER_DECODERS[name]
    variables = jax.eval_shape(model.init, jax.random.key(0), source, TOKENS)
    return model, variables, jax.eval_shape(lambda v: model.apply(v, source, method="init_carry"), variables)


@pytest.mark.parametrize("name", [*LANGUAGE_MODELS, *ENCODER_DECODERS])
def test_a_step_keeps_the_form_of_the_carry(name):
    model, variables, carry = initialize(name)
    following, logits = jax.eval_shape(
        lambda variables, carry: models.step_function(model, variables)(carry, TOKENS[:, 0]), variables, carry
    )
    assert jax.tree.structure(following) == jax.tree.structure(carry)
    chex.assert_trees_all_equal_shapes_and_dtypes(following, carry)
    chex.assert_shape(logits, (B, V))


@pytest.mark.parametrize("name", [*LANGUAGE_MODELS, *ENCODER_DECODERS])
def test_beam_search_runs_every_model(name):
    model, variables, carry = initialize(name)

    def search(variables, carry):
        step_fn = models.step_function(model, variables)
        return decode.beam_search(step_fn, carry, TOKENS[:, 0], num_beams=3, max_length=4, eos_id=1)

    assert jax.eval_shape(search, variables, carry).tokens.shape == (B, 3, 4)


@pytest.mark.parametrize("name", CLASSES)
def test_old_names_of_fields_name_fields_that_exist(name):
    cls = CLASSES[name]
    fields = {field.name for field in dataclasses.fields(cls)}
    for old, new in cls._renamed_fields.items():
        assert old not in fields
        assert new.split(",")[0] in fields
        with pytest.raises(TypeError, match=old):
            cls(**{old: 1})
