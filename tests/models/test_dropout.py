"""Every rate of dropout changes the output of a model in training, and only then."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.models.sequence.encoder_decoder import EncoderDecoder
from jaxdl.models.sequence.hierarchical import HierarchicalAttentionNetwork, HierarchicalEncoderDecoder
from jaxdl.models.transformers.bert import BERT
from jaxdl.models.transformers.gpt import GPT
from jaxdl.models.transformers.transformer import Transformer
from jaxdl.nn.recurrent.cells import GRU

SMALL = {
    "d_model": 8,
    "num_layers": 1,
    "num_heads": 2,
    "mlp_dim": 8,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}
TOKENS, DOCUMENTS = jnp.ones((2, 3), int), jnp.ones((2, 2, 3), int)
MODELS = {
    "gpt": (GPT(vocab_size=5, context_length=3, **SMALL), [TOKENS]),
    "bert": (BERT("classification", vocab_size=5, context_length=3, **SMALL), [TOKENS]),
    "transformer": (Transformer(5, **SMALL), [TOKENS, TOKENS]),
    "encoder-decoder": (EncoderDecoder(5, 5, GRU(4), embedding_dim=4), [TOKENS, TOKENS]),
    "documents": (HierarchicalAttentionNetwork(5, embedding_dim=4, cell=GRU(4), attention_dim=4), [DOCUMENTS]),
    "dialogues": (HierarchicalEncoderDecoder(5, 5, GRU(4), embedding_dim=4), [DOCUMENTS, TOKENS]),
}
DRAWS = [
    ("gpt", "dropout_rate", 3),  # of z_0, and of the branches of attention and MLP
    ("gpt", "attention_dropout_rate", 1),
    ("bert", "dropout_rate", 4),  # and of the pooled vector
    ("bert", "attention_dropout_rate", 1),
    (
        "transformer",
        "dropout_rate",
        9,
    ),  # of two sums with positions, of 2 + 3 branches, and of the units of two MLPs
    ("transformer", "attention_dropout_rate", 3),
    ("encoder-decoder", "dropout_rate", 3),  # of the embeddings of both languages, and before the output
    ("documents", "dropout_rate", 2),  # of words and of sentences
    ("dialogues", "dropout_rate", 3),
]


@pytest.mark.parametrize(("name", "rate", "count"), DRAWS)
def test_a_rate_of_dropout_applies_in_training_only(name, rate, count, monkeypatch):
    model, inputs = MODELS[name]
    dropping = model.clone(**{rate: 0.5})
    forms = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    generator = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), forms)
    draws, draw = [], jax.random.bernoulli
    monkeypatch.setattr(jax.random, "bernoulli", lambda *given: draws.append(given) or draw(*given))

    @jax.jit
    def run(key):
        trained = dropping.apply(variables, *inputs, train=True, rngs={"dropout": key})
        return trained, dropping.apply(variables, *inputs), model.apply(variables, *inputs)

    trained, evaluated, expected = run(jax.random.key(1))
    assert len(draws) == count
    assert np.abs(trained - expected).max() > 1e-3
    np.testing.assert_array_equal(evaluated, expected)
