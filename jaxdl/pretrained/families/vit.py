"""Names of the vision transformer's weights."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxdl.models.vision.vit import VisionTransformer
from jaxdl.pretrained.layouts import ignored, parameter, part
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


def huggingface(model: VisionTransformer, prefix: str = "vit.") -> Sequence[Rule]:
    """Return the names in the files of ``ViTForImageClassification``; create the model with ``epsilon=1e-12``."""
    rules = [
        Rule("class_token", f"{prefix}embeddings.cls_token", ROW),
        Rule("positions", f"{prefix}embeddings.position_embeddings", TABLE),
        Rule("patch_embedding", f"{prefix}embeddings.patch_embeddings.projection"),
        Rule("norm", f"{prefix}layernorm"),
        Rule("output", "classifier"),
        Rule("", rf"{prefix}pooler\..*", ignored),
    ]
    for ours, number in blocks(model):
        theirs = f"{prefix}encoder.layer.{number}"
        rules.append(Rule(f"{ours}/attention/output", f"{theirs}.attention.output.dense"))
        rules.append(Rule(f"{ours}/attention/(.*)", rf"{theirs}.attention.attention.\1"))
        rules += [
            Rule(f"{ours}/norm1", f"{theirs}.layernorm_before"),
            Rule(f"{ours}/norm2", f"{theirs}.layernorm_after"),
        ]
        rules += [
            Rule(f"{ours}/dense1", f"{theirs}.intermediate.dense"),
            Rule(f"{ours}/dense2", f"{theirs}.output.dense"),
        ]
    return rules


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
}
"""By source; ``huggingface_model`` is for the files of ``ViTModel``, which has no output layer: draw ours afresh."""
