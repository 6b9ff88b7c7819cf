"""Names of the vision transformer's weights."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxdl.models.vision.vit import VisionTransformer
from jaxdl.pretrained.layouts import ignored, parameter, part, renamed
from jaxdl.pretrained.rules import Rule

ROW = parameter(lambda theirs: theirs[0, 0], lambda ours: ours[None, None])
TABLE = parameter(
    lambda theirs: theirs[0],
    lambda ours: ours[None],
    "the file is for images of another size; replace the entry by resize_positions(entry[0], (H, W))[None], for images "
    "of H x W patches, with the function of jaxdl.models.vision.vit",
)
PARTS = {"query": 0, "key": 1, "value": 2}


def torchvision(model: VisionTransformer) -> Sequence[Rule]:
    """Return the names of torchvision, whose attention has one array for query, key and value."""
    rules = [
        Rule("class_token", "class_token", ROW),
        Rule("positions", "encoder.pos_embedding", TABLE),
        Rule("patch_embedding", "conv_proj"),
        Rule("norm", "encoder.ln"),
        Rule("output", "heads.head"),
    ]
    for ours, number in blocks(model):
        theirs = f"encoder.layers.encoder_layer_{number}"
        for name, index in PARTS.items():
            kernel, bias = part(index, 3, parameter(np.transpose, np.transpose)), part(index, 3, parameter())
            rules.append(Rule(f"{ours}/attention/{name}/kernel", f"{theirs}.self_attention.in_proj_weight", kernel))
            rules.append(Rule(f"{ours}/attention/{name}/bias", f"{theirs}.self_attention.in_proj_bias", bias))
        rules.append(Rule(f"{ours}/attention/output", f"{theirs}.self_attention.out_proj"))
        rules.append(Rule(f"{ours}/norm(.)", rf"{theirs}.ln_\1"))
        rules += [Rule(f"{ours}/dense1", f"{theirs}.mlp.0"), Rule(f"{ours}/dense2", f"{theirs}.mlp.3")]
    return rules


def timm(model: VisionTransformer) -> Sequence[Rule]:
    """Return the names of timm, whose attention has one layer for query, key and value."""
    rules = [
        Rule("class_token", "cls_token", ROW),
        Rule("positions", "pos_embed", TABLE),
        Rule("patch_embedding", "patch_embed.proj"),
        Rule("norm", "norm"),
        Rule("output", "head"),
    ]
    for ours, number in blocks(model):
        theirs = f"blocks.{number}"
        rules += [Rule(f"{ours}/attention/{name}", f"{theirs}.attn.qkv", part(i, 3)) for name, i in PARTS.items()]
        rules.append(Rule(f"{ours}/attention/output", f"{theirs}.attn.proj"))
        rules.append(Rule(f"{ours}/norm(.)", rf"{theirs}.norm\1"))
        rules.append(Rule(f"{ours}/dense(.)", rf"{theirs}.mlp.fc\1"))
    return rules


HUGGINGFACE = {
    "attention/query": "attention.attention.query",
    "attention/key": "attention.attention.key",
    "attention/value": "attention.attention.value",
    "attention/output": "attention.output.dense",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "dense1": "intermediate.dense",
    "dense2": "output.dense",
}
"""Layers of a block in the files of Hugging Face."""
HUGGINGFACE_5 = {
    "attention/query": "attention.q_proj",
    "attention/key": "attention.k_proj",
    "attention/value": "attention.v_proj",
    "attention/output": "attention.o_proj",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "dense1": "mlp.fc1",
    "dense2": "mlp.fc2",
}
"""The same layers in the modules of transformers 5, whose files keep the older names."""


def huggingface(model: VisionTransformer, prefix: str = "vit.") -> Sequence[Rule]:
    """Return the names in the files of ``ViTForImageClassification``, and to read also those of `huggingface_5`.

    Create the model with ``epsilon=1e-12``.
    """
    newer = {theirs: HUGGINGFACE[ours] for ours, theirs in HUGGINGFACE_5.items()}
    stack = re.escape(f"{prefix}layers")
    return [
        *_huggingface(model, prefix, "encoder.layer", HUGGINGFACE),
        *(
            Rule("", rf"{stack}\.(\d+)\.{re.escape(theirs)}\.(\w+)", renamed(rf"{prefix}encoder.layer.\1.{older}.\2"))
            for theirs, older in newer.items()
        ),
    ]


def huggingface_5(model: VisionTransformer, prefix: str = "vit.") -> Sequence[Rule]:
    """Return the names in the ``state_dict`` of ``ViTForImageClassification`` in transformers 5, to export for it."""
    return _huggingface(model, prefix, "layers", HUGGINGFACE_5)


def _huggingface(model: VisionTransformer, prefix: str, stack: str, layers: Mapping[str, str]) -> list[Rule]:
    return [
        Rule("class_token", f"{prefix}embeddings.cls_token", ROW),
        Rule("positions", f"{prefix}embeddings.position_embeddings", TABLE),
        Rule("patch_embedding", f"{prefix}embeddings.patch_embeddings.projection"),
        Rule("norm", f"{prefix}layernorm"),
        Rule("output", "classifier"),
        Rule("", rf"{prefix}pooler\..*", ignored),
        *(
            Rule(f"{block}/{ours}", f"{prefix}{stack}.{number}.{theirs}")
            for block, number in blocks(model)
            for ours, theirs in layers.items()
        ),
    ]


def undetermined(model: VisionTransformer) -> dict[str, str]:
    """Return the fields that a file does not determine, with advice."""
    del model
    return {"epsilon": "layer_norm_eps of its config.json, which is 1e-12 unless that says otherwise"}


def blocks(model: Any, stack: str = "encoder") -> list[tuple[str, int]]:
    """List the name of every block of a stack of ours, and its number among theirs, which starts at 0.

    Raises:
        ValueError: scanned blocks.
    """
    if model.scan_blocks:
        raise ValueError(
            "expected scan_blocks=False, got True; load the weights with scan_blocks=False, then stack them with "
            "jaxdl.models.scanning.stack_blocks"
        )
    return [(f"{stack}_block{number + 1}", number) for number in range(model.num_layers)]


RULES = {
    "torchvision": torchvision,
    "timm": timm,
    "huggingface": huggingface,
    "huggingface_model": partial(huggingface, prefix=""),
    "huggingface_5": huggingface_5,
}
"""By source; ``huggingface_model`` is for the files of ``ViTModel``, which has no output layer: draw ours afresh."""
UNDETERMINED = {"huggingface": undetermined, "huggingface_model": undetermined, "huggingface_5": undetermined}
