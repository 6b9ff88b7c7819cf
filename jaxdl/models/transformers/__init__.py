"""Transformers: the block, the encoder-decoder, GPT, BERT."""

from jaxdl.models.transformers.bert import BERT
from jaxdl.models.transformers.block import Block, check_depth, run_blocks
from jaxdl.models.transformers.gpt import GPT
from jaxdl.models.transformers.transformer import Transformer, TransformerCarry

__all__ = [
    "BERT",
    "GPT",
    "Block",
    "Transformer",
    "TransformerCarry",
    "check_depth",
    "run_blocks",
]
