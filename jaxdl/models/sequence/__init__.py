"""Networks over sequences.

- `alignment`: `learn_translation`, IBM model 1, with `update_translation` and `align`.
- `classifiers`: `AveragingNetwork`, `RecurrentClassifier`, `ConvolutionalClassifier` and `Tagger`.
- `crf`: `LinearChainCRF` over the labels of a tagger.
- `language_model`: `RecurrentLanguageModel`.
- `encoder_decoder`: `SequenceToSequence`, the base class; `EncoderDecoder`, made of an `Encoder`, which returns a
  `Memory`, and a `Decoder`, whose carry is a `DecoderCarry` with an `AttendedSource`; `initial_states` of cells from a
  vector of their `state_size`.
- `luong`: `LuongEncoderDecoder` and its `LuongDecoder` (`LuongCarry`, `LuongState`), a scan of a `LuongCell`, with
  `AttentionalParameters` of `attentional_shapes`.
- `pointer`: `PointerGenerator`, which copies words of its source, made of a `PointerEncoder` (`PointerMemory`) and a
  `PointerDecoder` (`PointerCarry`, `PointerState`), a scan of a `PointerCell` with `AttentionParameters`.
- `captioner`: `Captioner` of images, with an `ImageEncoder`.
- `transformer_captioner`: `TransformerCaptioner` of images.
- `image_questions`: `StackedAttentionNetwork`, which answers questions about images.
- `video`: `RecurrentVideoClassifier`, `TransformerVideoClassifier` and `ConvVideoClassifier`; `VideoCaptioner` with a
  `VideoEncoder`; `FrameFeatures`.
- `decomposable`: `DecomposableAttention` between two sentences.
- `hierarchical`: `HierarchicalAttentionNetwork` and `HierarchicalEncoderDecoder` (with its `HierarchicalEncoder`), for
  documents of sentences of words; `AttentionPooling`.
- `recursive`: `RecursiveNetwork` over trees, `recur` with the cells `Recursive` and `TreeLSTM` (`TreeState`).
- `layers`: what they share: `embed`, `pool`, `last`.
- `wavenet`: `WaveNet`, made of `GatedLayer`, with its `WaveNetCarry`.
"""

from jaxdl.models.sequence.alignment import align, learn_translation, update_translation
from jaxdl.models.sequence.captioner import Captioner, ImageEncoder
from jaxdl.models.sequence.classifiers import (
    AveragingNetwork,
    ConvolutionalClassifier,
    RecurrentClassifier,
    Tagger,
)
from jaxdl.models.sequence.crf import LinearChainCRF
from jaxdl.models.sequence.decomposable import DecomposableAttention
from jaxdl.models.sequence.encoder_decoder import (
    AttendedSource,
    Decoder,
    DecoderCarry,
    Encoder,
    EncoderDecoder,
    Memory,
    SequenceToSequence,
    initial_states,
    state_size,
)
from jaxdl.models.sequence.hierarchical import (
    AttentionPooling,
    HierarchicalAttentionNetwork,
    HierarchicalEncoder,
    HierarchicalEncoderDecoder,
)
from jaxdl.models.sequence.image_questions import StackedAttentionNetwork
from jaxdl.models.sequence.language_model import RecurrentLanguageModel
from jaxdl.models.sequence.layers import embed, last, pool
from jaxdl.models.sequence.luong import (
    AttentionalParameters,
    LuongCarry,
    LuongCell,
    LuongDecoder,
    LuongEncoderDecoder,
    LuongState,
    attentional_shapes,
)
from jaxdl.models.sequence.pointer import (
    AttentionParameters,
    PointerCarry,
    PointerCell,
    PointerDecoder,
    PointerEncoder,
    PointerGenerator,
    PointerMemory,
    PointerState,
)
from jaxdl.models.sequence.recursive import Recursive, RecursiveNetwork, TreeLSTM, TreeState, recur
from jaxdl.models.sequence.transformer_captioner import TransformerCaptioner
from jaxdl.models.sequence.video import (
    ConvVideoClassifier,
    FrameFeatures,
    RecurrentVideoClassifier,
    TransformerVideoClassifier,
    VideoCaptioner,
    VideoEncoder,
)
from jaxdl.models.sequence.wavenet import GatedLayer, WaveNet, WaveNetCarry

__all__ = [
    "AttendedSource",
    "AttentionParameters",
    "AttentionPooling",
    "AttentionalParameters",
    "AveragingNetwork",
    "Captioner",
    "ConvVideoClassifier",
    "ConvolutionalClassifier",
    "Decoder",
    "DecoderCarry",
    "DecomposableAttention",
    "Encoder",
    "EncoderDecoder",
    "FrameFeatures",
    "GatedLayer",
    "HierarchicalAttentionNetwork",
    "HierarchicalEncoder",
    "HierarchicalEncoderDecoder",
    "ImageEncoder",
    "LinearChainCRF",
    "LuongCarry",
    "LuongCell",
    "LuongDecoder",
    "LuongEncoderDecoder",
    "LuongState",
    "Memory",
    "PointerCarry",
    "PointerCell",
    "PointerDecoder",
    "PointerEncoder",
    "PointerGenerator",
    "PointerMemory",
    "PointerState",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecurrentVideoClassifier",
    "Recursive",
    "RecursiveNetwork",
    "SequenceToSequence",
    "StackedAttentionNetwork",
    "Tagger",
    "TransformerCaptioner",
    "TransformerVideoClassifier",
    "TreeLSTM",
    "TreeState",
    "VideoCaptioner",
    "VideoEncoder",
    "WaveNet",
    "WaveNetCarry",
    "align",
    "attentional_shapes",
    "embed",
    "initial_states",
    "last",
    "learn_translation",
    "pool",
    "recur",
    "state_size",
    "update_translation",
]
