"""Every rate of dropout changes what a model says in training, and never what it says otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.models.bert import BERT
from jaxdl.models.encoder_decoder import EncoderDecoder
from jaxdl.models.gpt import GPT
from jaxdl.models.hierarchical import HierarchicalAttentionNetwork, HierarchicalEncoderDecoder
from jaxdl.models.transformer import Transformer
from jaxdl.nn.cells import GRU

SMALL = {"features": 8, "depth": 1, "heads": 2, "mlp_features": 8, "dropout": 0.0, "attention_dropout": 0.0}
TOKENS, DOCUMENTS = jnp.ones((2, 3), int), jnp.ones((2, 2, 3), int)
MODELS = {
    "gpt": (GPT(vocabulary=5, context=3, **SMALL), [TOKENS]),
    "bert": (BERT("classification", vocabulary=5, context=3, **SMALL), [TOKENS]),
    "transformer": (Transformer(5, **SMALL), [TOKENS, TOKENS]),
    "encoder-decoder": (EncoderDecoder(5, 5, GRU(4), embedding=4), [TOKENS, TOKENS]),
    "documents": (HierarchicalAttentionNetwork(5, embedding=4, cell=GRU(4), attention=4), [DOCUMENTS]),
    "dialogues": (HierarchicalEncoderDecoder(5, 5, GRU(4), embedding=4), [DOCUMENTS, TOKENS]),
}
STACKS, OTHERS = ("gpt", "bert", "transformer"), ("encoder-decoder", "documents", "dialogues")
RATES = [(name, rate) for name in STACKS for rate in ("dropout", "attention_dropout")]
RATES += [(name, "retain_probability") for name in OTHERS]


@pytest.mark.parametrize(("name", "rate"), RATES)
def test_a_rate_of_dropout_is_for_training_alone(name, rate):
    model, inputs = MODELS[name]
    dropping = model.clone(**{rate: 0.5})
    forms = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    generator = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), forms)

    @jax.jit
    def run(key):
        trained = dropping.apply(variables, *inputs, train=True, rngs={"dropout": key})
        return trained, dropping.apply(variables, *inputs), model.apply(variables, *inputs)

    trained, evaluated, expected = run(jax.random.key(1))
    assert np.abs(trained - expected).max() > 1e-3
    np.testing.assert_array_equal(evaluated, expected)
