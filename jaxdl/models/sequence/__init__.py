"""Networks over sequences.

- `classifiers`: `AveragingNetwork`, `RecurrentClassifier`, `ConvolutionalClassifier` and `Tagger`.
- `language_model`: `RecurrentLanguageModel`.
- `encoder_decoder`: `EncoderDecoder`, made of an `Encoder`, which returns a `Memory`, and a `Decoder`, whose carry is a
  `DecoderCarry` with an `AttendedSource`.
- `hierarchical`: `HierarchicalAttentionNetwork` and `HierarchicalEncoderDecoder` (with its `HierarchicalEncoder`), for
  documents of sentences of words; `AttentionPooling`.
- `recursive`: `RecursiveNetwork` over trees, `recur` with the cells `Recursive` and `TreeLSTM` (`TreeState`).
- `layers`: what they share: `embed`, `pool`, `last`.
- `wavenet`: `WaveNet`, made of `GatedLayer`, with its `WaveNetCarry`.
"""

from jaxdl.models.sequence.classifiers import (
    AveragingNetwork,
    ConvolutionalClassifier,
    RecurrentClassifier,
    Tagger,
)
from jaxdl.models.sequence.encoder_decoder import (
    AttendedSource,
    Decoder,
    DecoderCarry,
    Encoder,
    EncoderDecoder,
    Memory,
)
from jaxdl.models.sequence.hierarchical import (
    AttentionPooling,
    HierarchicalAttentionNetwork,
    HierarchicalEncoder,
    HierarchicalEncoderDecoder,
)
from jaxdl.models.sequence.language_model import RecurrentLanguageModel
from jaxdl.models.sequence.layers import embed, last, pool
from jaxdl.models.sequence.recursive import Recursive, RecursiveNetwork, TreeLSTM, TreeState, recur
from jaxdl.models.sequence.wavenet import GatedLayer, WaveNet, WaveNetCarry

__all__ = [
    "AttendedSource",
    "AttentionPooling",
    "AveragingNetwork",
    "ConvolutionalClassifier",
    "Decoder",
    "DecoderCarry",
    "Encoder",
    "EncoderDecoder",
    "GatedLayer",
    "HierarchicalAttentionNetwork",
    "HierarchicalEncoder",
    "HierarchicalEncoderDecoder",
    "Memory",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "Recursive",
    "RecursiveNetwork",
    "Tagger",
    "TreeLSTM",
    "TreeState",
    "WaveNet",
    "WaveNetCarry",
    "embed",
    "last",
    "pool",
    "recur",
]
