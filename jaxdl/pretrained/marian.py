"""Translation models of Marian (Junczys-Dowmunt et al., 2018) in the folders of transformers, as our `Transformer`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdl.checks import shorten
from jaxdl.data.files.opening import read_plain_text
from jaxdl.models.transformers.transformer import Transformer
from jaxdl.pretrained import files
from jaxdl.pretrained.configs import ACTIVATIONS, FILE
from jaxdl.pretrained.loading import convert, rules_of
from jaxdl.typing import PyTree

FIXED = {
    "model_type": "marian",
    "scale_embedding": True,
    "static_position_embeddings": True,
    "normalize_before": False,
    "normalize_embedding": False,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "add_final_layer_norm": False,
}
"""Settings with the only value that our model computes; a missing one has it."""
FIELDS = {
    "num_layers": ("encoder_layers", "decoder_layers"),
    "num_heads": ("encoder_attention_heads", "decoder_attention_heads"),
    "mlp_dim": ("encoder_ffn_dim", "decoder_ffn_dim"),
    "source_vocab_size": ("vocab_size", "decoder_vocab_size"),
    "d_model": ("d_model", "d_model"),
}
"""Our fields, and the settings of both stacks, which have to agree."""


def load_marian(folder: Path | str, **changes: object) -> tuple[Transformer, PyTree]:
    """Return the model that a folder of ``MarianMTModel`` describes, and its variables.

    It reads and writes tokens of one vocabulary. The first token of a target is the setting ``decoder_start_token_id``,
    which is that of padding.

    Args:
        folder: with ``config.json`` and weights, as ``save_pretrained`` writes them.
        **changes: fields of the model that differ, such as the rates of dropout.

    Raises:
        FileNotFoundError: there are no settings or no weights.
        ValueError: a setting is none that our model computes, or the weights do not fit.
    """
    folder = Path(folder).expanduser()
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"expected a folder with {FILE} and weights, got {folder} without")
    try:
        config = json.loads(read_plain_text(path))
        fields = _fields(path, config)
    except (TypeError, KeyError, AttributeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no configuration of a Marian model: {shorten(error)}") from error
    model = Transformer(**{**fields, **changes})
    tokens = np.zeros((1, 1), np.int32)
    forms = jax.eval_shape(model.init, jax.random.key(0), tokens, tokens)
    return model, convert(files.read(folder), forms, rules_of(model, "huggingface"))


def _fields(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    problems = [
        f"{name}={value!r}, got {shorten(repr(config[name]))}"
        for name, value in FIXED.items()
        if config.get(name, value) != value
    ]
    for encoder, decoder in FIELDS.values():
        both = config[encoder], config.get(decoder, config[encoder])
        if not all(isinstance(n, int) and 0 < n < 2**31 for n in both) or both[0] != both[1]:
            problems.append(f"equal numbers for {encoder} and {decoder}, got {shorten(repr(both))}")
    activation = config.get("activation_function", "gelu")
    if activation not in ACTIVATIONS:
        problems.append(f"activation_function of {', '.join(ACTIVATIONS)}, got {shorten(repr(activation))}")
    if problems:
        raise ValueError(f"{path}: expected {'; expected '.join(problems)}; our model computes nothing else")
    return {
        **{field: config[encoder] for field, (encoder, _) in FIELDS.items()},
        "activation": ACTIVATIONS[activation],
        "dropout_rate": float(config.get("dropout", 0.1)),
        "attention_dropout_rate": float(config.get("attention_dropout", 0.0)),
        "output_bias": True,
    }
