"""Names of Llama's weights."""

from collections.abc import Mapping, Sequence

from einops import rearrange

from jaxdl.models.transformers.llama import Llama
from jaxdl.pretrained.families.vit import blocks
from jaxdl.pretrained.layouts import KERNEL, Change, Layout, ignored, tied
from jaxdl.pretrained.rules import Rule

HUGGINGFACE = {
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/output": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "dense1": "mlp.up_proj",
    "dense2": "mlp.down_proj",
}
"""Layers of a block in the files of Hugging Face."""
GGUF = {
    "norm1": "attn_norm",
    "norm2": "ffn_norm",
    "attention/query": "attn_q",
    "attention/key": "attn_k",
    "attention/value": "attn_v",
    "attention/output": "attn_output",
    "gate": "ffn_gate",
    "dense1": "ffn_up",
    "dense2": "ffn_down",
}
"""The same layers in GGUF files."""


def huggingface(model: Llama) -> Sequence[Rule]:
    """Return the names of ``LlamaForCausalLM``; with ``tied`` its output must be the embedding again."""
    rules = [
        Rule("embedding", "model.embed_tokens"),
        Rule("norm", "model.norm"),
        Rule("output", "lm_head"),
        Rule("", r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", ignored),  # in older files
    ]
    if model.tied:
        rules.append(Rule("", "lm_head.weight", tied("model.embed_tokens.weight")))
    return rules + _of_blocks(model, "model.layers", HUGGINGFACE, {})


def gguf(model: Llama) -> Sequence[Rule]:
    """Return the names in GGUF files, whose queries and keys are rotated in neighbouring pairs."""
    kv_heads = model.num_heads if model.num_kv_heads is None else model.num_kv_heads
    layouts = {"attention/query": neighbours(model.num_heads), "attention/key": neighbours(kv_heads)}
    rules = [Rule("embedding", "token_embd"), Rule("norm", "output_norm"), Rule("output", "output")]
    return rules + _of_blocks(model, "blk", GGUF, layouts)


def neighbours(num_heads: int) -> Layout:
    """Lay out queries or keys whose rotated pairs are neighbours in every head there, and halves here.

    >>> import numpy as np
    >>> neighbours(1).change("bias").to_ours(np.array([0, 4, 1, 5, 2, 6])).tolist()
    [0, 1, 2, 4, 5, 6]
    """
    ours, theirs = "(h pair i) ... -> (h i pair) ...", "(h i pair) ... -> (h pair i) ..."
    bias = Change(
        lambda array: rearrange(array, theirs, h=num_heads, pair=2),
        lambda array: rearrange(array, ours, h=num_heads, pair=2),
    )
    kernel = Change(
        lambda array: KERNEL.to_ours(bias.to_ours(array)),
        lambda array: bias.to_theirs(KERNEL.to_theirs(array)),
    )
    return Layout({"kernel": kernel, "bias": bias})


def _of_blocks(model: Llama, stack: str, names: Mapping[str, str], layouts: Mapping[str, Layout]) -> list[Rule]:
    return [
        Rule(f"{block}/{ours}", f"{stack}.{number}.{theirs}", layouts.get(ours, Layout()))
        for block, number in blocks(model, "decoder")
        for ours, theirs in names.items()
    ]


RULES = {"huggingface": huggingface, "gguf": gguf}
"""By source; ``gguf`` is for the tensors of `jaxdl.pretrained.read_gguf`."""
