"""Architectures, one family a file, and their registry."""

from jaxdl.models.alexnet import AlexNet
from jaxdl.models.bert import BERT
from jaxdl.models.densenet import DenseNet
from jaxdl.models.encoder_decoder import Decoder, Encoder, EncoderDecoder
from jaxdl.models.googlenet import GoogLeNet
from jaxdl.models.gpt import GPT
from jaxdl.models.hierarchical import HierarchicalAttentionNetwork, HierarchicalEncoder, HierarchicalEncoderDecoder
from jaxdl.models.inception import InceptionV2, InceptionV3
from jaxdl.models.lenet import LeNet5, LeNet5Original
from jaxdl.models.mlp import MLP
from jaxdl.models.recurrent import RecurrentLanguageModel
from jaxdl.models.recursive import RecursiveNetwork
from jaxdl.models.registry import create, input_dtype, input_shape, list, register
from jaxdl.models.resnet import ResNet
from jaxdl.models.sequence import AveragingNetwork, ConvolutionalClassifier, RecurrentClassifier, Tagger
from jaxdl.models.transformer import Transformer
from jaxdl.models.vgg import VGG
from jaxdl.models.vit import VisionTransformer
from jaxdl.models.wavenet import WaveNet
from jaxdl.models.xception import Xception
from jaxdl.models.zfnet import ZFNet

__all__ = [
    "BERT",
    "GPT",
    "MLP",
    "VGG",
    "AlexNet",
    "AveragingNetwork",
    "ConvolutionalClassifier",
    "Decoder",
    "DenseNet",
    "Encoder",
    "EncoderDecoder",
    "GoogLeNet",
    "HierarchicalAttentionNetwork",
    "HierarchicalEncoder",
    "HierarchicalEncoderDecoder",
    "InceptionV2",
    "InceptionV3",
    "LeNet5",
    "LeNet5Original",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecursiveNetwork",
    "ResNet",
    "Tagger",
    "Transformer",
    "VisionTransformer",
    "WaveNet",
    "Xception",
    "ZFNet",
    "create",
    "input_dtype",
    "input_shape",
    "list",
    "register",
]
