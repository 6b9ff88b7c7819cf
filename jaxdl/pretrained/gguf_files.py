"""GGUF files, the format of llama.cpp: quantized weights with their settings and vocabulary, of Llama alone.

Reading one needs the package ``gguf``, of the extra of that name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import linen

from jaxdl import models
from jaxdl.checks import shorten
from jaxdl.data.files.downloads import require
from jaxdl.data.files.opening import open_regular
from jaxdl.pretrained import configs, loading
from jaxdl.typing import PyTree

SETTINGS = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}
"""The settings of ``config.json`` by their names in the metadata, after that of the architecture."""
CONTROL = 3
"""The type of tokens that stand for no text, such as the end of a message."""
SPLITTING = {"default": False, "gpt-2": False, "smollm": True}
"""Whether every digit is a token, by the name of the splitting."""


def load_gguf(path: Path | str, **changes: object) -> tuple[linen.Module, PyTree]:
    """Return the model that a GGUF file describes, and its variables, dequantized to float32.

    Args:
        path: the file.
        **changes: fields of the model that differ, such as ``dtype``.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is damaged, of a model other than Llama, or with a setting that ours does not compute.
        ImportError: gguf is not installed.
    """
    path = Path(path).expanduser()
    reader = _open(path)
    entries = _tensors(path, reader)
    description = configs.describe_settings(path, _settings(path, reader, entries))
    fields = {**description.fields, **changes}
    variables = loading.load(description.name, entries, "gguf", **fields)
    return models.create(description.name, **fields), variables


def read_gguf(path: Path | str) -> dict[str, np.ndarray]:
    """Return the tensors of a GGUF file by their names, dequantized to float32; errors as for `load_gguf`."""
    path = Path(path).expanduser()
    return _tensors(path, _open(path))


def gguf_tokenizer(path: Path | str) -> Any:
    """Return the tokenizer of a GGUF file, a ``tokenizers.Tokenizer``: byte pairs, with the control tokens as such.

    Raises:
        ValueError: the vocabulary is not of byte pairs, or split in a way that is not known here.
        ImportError: gguf or tokenizers is not installed.
    """
    path = Path(path).expanduser()
    reader = _open(path)
    library: Any = require("tokenizers", "the tokenizer of a GGUF file", "gguf")
    kind, split = (_value(path, reader, f"tokenizer.ggml.{name}", "default") for name in ("model", "pre"))
    if kind != "gpt2" or split not in SPLITTING:
        known = ", ".join(SPLITTING)
        raise ValueError(f"{path}: expected a tokenizer of gpt2 split as {known}, got {kind!r} split as {split!r}")
    tokens, types, merges = (
        _value(path, reader, f"tokenizer.ggml.{name}", []) for name in ("tokens", "token_type", "merges")
    )
    tokenizer = library.Tokenizer(
        library.models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in merges],
        )
    )
    bytes_alone = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [library.pre_tokenizers.Digits(individual_digits=True)] if SPLITTING[split] else []
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([*digits, bytes_alone])
    tokenizer.decoder = library.decoders.ByteLevel()
    control = [token for token, number in zip(tokens, types, strict=False) if number == CONTROL]
    tokenizer.add_special_tokens([library.AddedToken(token, normalized=False) for token in control])
    return tokenizer


def _open(path: Path) -> Any:
    with open_regular(path) as file:
        start = file.read(4)
    if start != b"GGUF":
        raise ValueError(f"expected a GGUF file, got {path}, which starts with {start!r}")
    library: Any = require("gguf", f"reading {path}", "gguf")
    try:
        return library.GGUFReader(path)
    except Exception as error:  # of any kind, where the file is damaged
        raise _damaged(path, error) from error


def _tensors(path: Path, reader: Any) -> dict[str, np.ndarray]:
    library: Any = require("gguf", f"reading {path}", "gguf")
    try:
        return {
            tensor.name: np.asarray(library.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
            for tensor in reader.tensors
        }
    except Exception as error:  # of any kind, where the file is damaged
        raise _damaged(path, error) from error


def _settings(path: Path, reader: Any, entries: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the metadata as the settings of ``config.json``."""
    kind = _value(path, reader, "general.architecture", "")
    found = {theirs: _value(path, reader, f"{kind}.{name}", None) for name, theirs in SETTINGS.items()}
    scaling = _value(path, reader, f"{kind}.rope.scaling.type", "none")
    if scaling == "none" and _value(path, reader, f"{kind}.rope.scale_linear", 1.0) != 1:  # in older files
        scaling = "linear"
    heads = max(found["num_attention_heads"] or 1, 1)
    width = found["head_dim"] or (found["hidden_size"] or 0) // heads
    rotated = _value(path, reader, f"{kind}.rope.dimension_count", width)
    if rotated != width:
        raise ValueError(f"{path}: expected {width} rotated dimensions, all of a head, got {rotated}")
    return {
        "model_type": kind,
        "vocab_size": len(entries["token_embd.weight"]) if "token_embd.weight" in entries else 0,
        "tie_word_embeddings": "output.weight" not in entries,
        "attention_bias": "blk.0.attn_q.bias" in entries,
        "mlp_bias": "blk.0.ffn_up.bias" in entries,
        "rope_scaling": {"rope_type": "default" if scaling == "none" else scaling},
        **{name: _shortest(value) for name, value in found.items() if value is not None},
    }


def _value(path: Path, reader: Any, name: str, default: Any) -> Any:
    try:
        entry = reader.fields.get(name)
        return default if entry is None else entry.contents()
    except Exception as error:  # of any kind, where the file is damaged
        raise _damaged(path, error) from error


def _shortest(value: Any) -> Any:
    """Return a number of 32 bits as the shortest decimal that it stands for: 1e-5, not 9.99999975e-6."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is a damaged GGUF file, or none: {shorten(error) or type(error).__name__}")
