"""Transformers.

- `block`: `Block`, of which all are made; `run_blocks`, `attend_to_self` and `check_depth`.
- `transformer`: `Transformer` for translation, made of an `Encoder` and a `Decoder`; its `TransformerCarry`
  and `init_transformer_carry`.
- `gpt`: `GPT`, which generates text.
- `llama`: `Llama`, the same with rotary positions, RMS norms and gated MLPs; its `LlamaBlock` and `LlamaCarry`.
- `bert`: `BERT`, which encodes text in both directions.
"""

from jaxdl.models.transformers.bert import BERT
from jaxdl.models.transformers.block import Block, attend_to_self, check_depth, run_blocks
from jaxdl.models.transformers.gpt import GPT
from jaxdl.models.transformers.llama import Llama, LlamaBlock, LlamaCarry
from jaxdl.models.transformers.transformer import (
    Decoder,
    Encoder,
    Transformer,
    TransformerCarry,
    init_transformer_carry,
)

__all__ = [
    "BERT",
    "GPT",
    "Block",
    "Decoder",
    "Encoder",
    "Llama",
    "LlamaBlock",
    "LlamaCarry",
    "Transformer",
    "TransformerCarry",
    "attend_to_self",
    "check_depth",
    "init_transformer_carry",
    "run_blocks",
]
