"""Names of GPT-2's weights."""

from collections.abc import Sequence
from functools import partial

from jaxdl.models.transformers.gpt import GPT
from jaxdl.pretrained.families.vit import blocks
from jaxdl.pretrained.layouts import Layout, ignored, parameter, tied
from jaxdl.pretrained.rules import Rule

AS_IT_IS = Layout({})
"""Kernels of GPT-2 are ``[I, O]`` there as they are here."""


def huggingface(model: GPT, prefix: str = "transformer.") -> Sequence[Rule]:
    """Return the names of ``GPT2LMHeadModel``, whose output must be the embedding again; masks are passed over.

    Positions beyond the model's context are left out, which changes nothing within it.
    """
    rules = [
        Rule("embedding", f"{prefix}wte"),
        Rule("positions", f"{prefix}wpe.weight", parameter(lambda theirs: theirs[: model.context_length])),
        Rule("norm", f"{prefix}ln_f"),
        Rule("", "lm_head.weight", tied(f"{prefix}wte.weight", exported=bool(prefix))),
        Rule("", rf"{prefix}h\.\d+\.attn\.(masked_)?bias", ignored),
    ]
    for ours, number in blocks(model, "decoder"):
        theirs = f"{prefix}h.{number}"
        rules += [
            Rule(f"{ours}/norm(.)", rf"{theirs}.ln_\1"),
            Rule(f"{ours}/attention/query_key_value", f"{theirs}.attn.c_attn", AS_IT_IS),
            Rule(f"{ours}/attention/output", f"{theirs}.attn.c_proj", AS_IT_IS),
            Rule(f"{ours}/dense1", f"{theirs}.mlp.c_fc", AS_IT_IS),
            Rule(f"{ours}/dense2", f"{theirs}.mlp.c_proj", AS_IT_IS),
        ]
    return rules


RULES = {"huggingface": huggingface, "huggingface_model": partial(huggingface, prefix="")}
"""By source; ``huggingface_model`` is for the files of ``GPT2Model``, and for the first ones that were published."""
