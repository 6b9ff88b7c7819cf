"""Names of the encoder-decoder transformer's weights.

Marian's vectors of positions have all sines before all cosines, ours have them in turn. So every vector of the width of
the model is one of ours with its entries in another order: `interleaved`.
"""

from collections.abc import Sequence

import numpy as np
from einops import rearrange

from jaxdl.models.transformers.transformer import Transformer
from jaxdl.pretrained.families.vit import blocks
from jaxdl.pretrained.layouts import KERNEL, Change, Layout, ignored, parameter, tied
from jaxdl.pretrained.rules import Rule


def interleaved(theirs: np.ndarray) -> np.ndarray:
    """Interleave both halves of the last dimension.

    >>> interleaved(np.array([0, 2, 1, 3])).tolist()
    [0, 1, 2, 3]
    """
    return rearrange(theirs, "... (pair i) -> ... (i pair)", pair=2)


def halved(ours: np.ndarray) -> np.ndarray:
    """Undo `interleaved`."""
    return rearrange(ours, "... (i pair) -> ... (pair i)", pair=2)


VECTOR = Change(interleaved, halved)
WIDE = Layout({"embedding": VECTOR, "scale": VECTOR, "bias": VECTOR})
"""The layout of embeddings and norms."""
READS = Layout({"kernel": Change(lambda a: KERNEL.to_ours(interleaved(a)), lambda a: halved(KERNEL.to_theirs(a)))})
"""The layout of layers that read vectors of the width of the model."""
WRITES = Layout(
    {"kernel": Change(lambda a: interleaved(KERNEL.to_ours(a)), lambda a: KERNEL.to_theirs(halved(a))), "bias": VECTOR}
)
"""The layout of layers whose results are such vectors."""
NORMS = {
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
}


def huggingface(model: Transformer) -> Sequence[Rule]:
    """Return the names of ``MarianMTModel`` with one vocabulary, of a model with ``output_bias``."""
    shared = "model.shared.weight"
    rules = [
        Rule("source_embedding", "model.shared", WIDE),
        Rule("bias", "final_logits_bias", parameter(lambda theirs: theirs[0], lambda ours: ours[None])),
        Rule("", r"model\.(encoder|decoder)\.embed_positions\.weight", ignored),
        *(
            Rule("", name, tied(shared))
            for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
        ),
    ]
    for stack, norms in NORMS.items():
        for block, number in blocks(model, stack):
            ours, theirs = f"{stack}/{block}", f"model.{stack}.layers.{number}"
            for our, their in (("attention", "self_attn"), ("memory_attention", "encoder_attn")):
                rules += [
                    Rule(f"{ours}/{our}/{name}", f"{theirs}.{their}.{name[0]}_proj", READS)
                    for name in ("query", "key", "value")
                ]
                rules.append(Rule(f"{ours}/{our}/output", f"{theirs}.{their}.out_proj", WRITES))
            rules += [Rule(f"{ours}/dense1", f"{theirs}.fc1", READS), Rule(f"{ours}/dense2", f"{theirs}.fc2", WRITES)]
            rules += [Rule(f"{ours}/norm{n}", f"{theirs}.{name}", WIDE) for n, name in enumerate(norms, 1)]
    return rules


RULES = {"huggingface": huggingface}
"""By source; see `jaxdl.pretrained.load_marian`."""
