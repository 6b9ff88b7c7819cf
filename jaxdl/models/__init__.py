"""Networks, one family a file, and a registry of named models.

- `create`, `list`, `description`, `input_shape`, `input_dtype`, `register`: models by name
- `step_function`: the step that `jaxdl.decode` takes
- `vision`: networks for images
- `generative`: autoencoders, adversarial networks, flows, diffusion
- `dense`: networks with a result for every pixel or object
- `sequence`: recurrent and convolutional networks for sequences and trees
- `transformers`: GPT, Llama, BERT and the encoder-decoder
- `neurons`: single neurons and networks of a few
- `MLP`; `layers`: parts that families share; `scanning`: alike blocks compiled once
"""

from jaxdl.models import dense, generative, layers, neurons, scanning, sequence, transformers, vision
from jaxdl.models.dense.deeplab import DeepLabV3
from jaxdl.models.dense.encoder_unet import EncoderUNet
from jaxdl.models.dense.fcn import FCN
from jaxdl.models.dense.fcos import FCOS
from jaxdl.models.dense.mask_head import MaskFCOS
from jaxdl.models.dense.probabilistic_unet import ProbabilisticUNet
from jaxdl.models.dense.unet import UNet
from jaxdl.models.generative.autoencoder import Autoencoder, ConvAutoencoder, TiedAutoencoder, UnpoolingAutoencoder
from jaxdl.models.generative.cyclegan import CycleGANGenerator
from jaxdl.models.generative.dcgan import DCGANDiscriminator, DCGANGenerator
from jaxdl.models.generative.diffusion_unet import DiffusionUNet
from jaxdl.models.generative.flows import CouplingFlow, Glow, RealNVP
from jaxdl.models.generative.pix2pix import PatchDiscriminator, Pix2PixGenerator
from jaxdl.models.generative.pixel_cnn import PixelCNN
from jaxdl.models.generative.vae import VAE, VQVAE, CategoricalVAE
from jaxdl.models.mlp import MLP
from jaxdl.models.registry import create, description, input_dtype, input_shape, list, register
from jaxdl.models.sequence.captioner import Captioner
from jaxdl.models.sequence.classifiers import AveragingNetwork, ConvolutionalClassifier, RecurrentClassifier, Tagger
from jaxdl.models.sequence.crf import LinearChainCRF
from jaxdl.models.sequence.decomposable import DecomposableAttention
from jaxdl.models.sequence.encoder_decoder import Decoder, Encoder, EncoderDecoder, SequenceToSequence
from jaxdl.models.sequence.hierarchical import (
    HierarchicalAttentionNetwork,
    HierarchicalEncoder,
    HierarchicalEncoderDecoder,
)
from jaxdl.models.sequence.image_questions import StackedAttentionNetwork
from jaxdl.models.sequence.language_model import RecurrentLanguageModel
from jaxdl.models.sequence.luong import LuongDecoder, LuongEncoderDecoder
from jaxdl.models.sequence.pointer import PointerGenerator
from jaxdl.models.sequence.recursive import RecursiveNetwork
from jaxdl.models.sequence.transformer_captioner import TransformerCaptioner
from jaxdl.models.sequence.video import (
    ConvVideoClassifier,
    RecurrentVideoClassifier,
    TransformerVideoClassifier,
    VideoCaptioner,
)
from jaxdl.models.sequence.wavenet import WaveNet
from jaxdl.models.stepping import step_function
from jaxdl.models.transformers.bert import BERT
from jaxdl.models.transformers.gpt import GPT
from jaxdl.models.transformers.llama import Llama
from jaxdl.models.transformers.transformer import Transformer
from jaxdl.models.vision.alexnet import AlexNet
from jaxdl.models.vision.densenet import DenseNet
from jaxdl.models.vision.googlenet import GoogLeNet
from jaxdl.models.vision.inception import InceptionV2, InceptionV3
from jaxdl.models.vision.inception_resnet import InceptionResNetV2
from jaxdl.models.vision.lenet import LeNet5, LeNet5Original
from jaxdl.models.vision.resnet import PreActivationResNet, ResNet
from jaxdl.models.vision.vgg import VGG
from jaxdl.models.vision.vit import VisionTransformer
from jaxdl.models.vision.xception import Xception
from jaxdl.models.vision.zfnet import ZFNet

__all__ = [
    "BERT",
    "FCN",
    "FCOS",
    "GPT",
    "MLP",
    "VAE",
    "VGG",
    "VQVAE",
    "AlexNet",
    "Autoencoder",
    "AveragingNetwork",
    "Captioner",
    "CategoricalVAE",
    "ConvAutoencoder",
    "ConvVideoClassifier",
    "ConvolutionalClassifier",
    "CouplingFlow",
    "CycleGANGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Decoder",
    "DecomposableAttention",
    "DeepLabV3",
    "DenseNet",
    "DiffusionUNet",
    "Encoder",
    "EncoderDecoder",
    "EncoderUNet",
    "Glow",
    "GoogLeNet",
    "HierarchicalAttentionNetwork",
    "HierarchicalEncoder",
    "HierarchicalEncoderDecoder",
    "InceptionResNetV2",
    "InceptionV2",
    "InceptionV3",
    "LeNet5",
    "LeNet5Original",
    "LinearChainCRF",
    "Llama",
    "LuongDecoder",
    "LuongEncoderDecoder",
    "MaskFCOS",
    "PatchDiscriminator",
    "Pix2PixGenerator",
    "PixelCNN",
    "PointerGenerator",
    "PreActivationResNet",
    "ProbabilisticUNet",
    "RealNVP",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecurrentVideoClassifier",
    "RecursiveNetwork",
    "ResNet",
    "SequenceToSequence",
    "StackedAttentionNetwork",
    "Tagger",
    "TiedAutoencoder",
    "Transformer",
    "TransformerCaptioner",
    "TransformerVideoClassifier",
    "UNet",
    "UnpoolingAutoencoder",
    "VideoCaptioner",
    "VisionTransformer",
    "WaveNet",
    "Xception",
    "ZFNet",
    "create",
    "dense",
    "description",
    "generative",
    "input_dtype",
    "input_shape",
    "layers",
    "list",
    "neurons",
    "register",
    "scanning",
    "sequence",
    "step_function",
    "transformers",
    "vision",
]
