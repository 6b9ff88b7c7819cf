"""Networks for sequences: language models, classifiers, encoder-decoders, trees."""

from jaxdl.models.sequence.classifiers import (
    AveragingNetwork,
    ConvolutionalClassifier,
    RecurrentClassifier,
    Tagger,
    embed,
    last,
    pool,
)
from jaxdl.models.sequence.encoder_decoder import DecoderCarry, EncoderDecoder, Memory
from jaxdl.models.sequence.hierarchical import (
    AttentionPooling,
    HierarchicalAttentionNetwork,
    HierarchicalEncoder,
    HierarchicalEncoderDecoder,
)
from jaxdl.models.sequence.language_model import RecurrentLanguageModel
from jaxdl.models.sequence.recursive import Recursive, RecursiveNetwork, TreeLSTM, TreeState, recur
from jaxdl.models.sequence.wavenet import GatedLayer, Past, WaveNet

__all__ = [
    "AttentionPooling",
    "AveragingNetwork",
    "ConvolutionalClassifier",
    "DecoderCarry",
    "EncoderDecoder",
    "GatedLayer",
    "HierarchicalAttentionNetwork",
    "HierarchicalEncoder",
    "HierarchicalEncoderDecoder",
    "Memory",
    "Past",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "Recursive",
    "RecursiveNetwork",
    "Tagger",
    "TreeLSTM",
    "TreeState",
    "WaveNet",
    "embed",
    "last",
    "pool",
    "recur",
]
