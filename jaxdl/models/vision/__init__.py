"""Networks for images, one family a file."""

from jaxdl.models.vision.alexnet import AlexNet
from jaxdl.models.vision.densenet import DenseLayer, DenseNet, Transition
from jaxdl.models.vision.googlenet import ConvBias, GoogLeNet, Inception, ceil_max_pool, standardized_to_half
from jaxdl.models.vision.inception import (
    InceptionV2,
    InceptionV3,
    Mixed,
    inception_a,
    inception_c,
    inception_v2_module,
    scale,
)
from jaxdl.models.vision.lenet import (
    LeNet5,
    LeNet5Original,
    Subsampling,
    TableConv,
    digit_codes,
    padding_of,
    published,
    squared_distances,
)
from jaxdl.models.vision.resnet import BasicBlock, Block, Bottleneck, ResNet, cifar_resnet, subsample_and_pad
from jaxdl.models.vision.vgg import VGG
from jaxdl.models.vision.vit import VisionTransformer, resize_positions
from jaxdl.models.vision.xception import Xception, XceptionBlock
from jaxdl.models.vision.zfnet import ZFNet

__all__ = [
    "VGG",
    "AlexNet",
    "BasicBlock",
    "Block",
    "Bottleneck",
    "ConvBias",
    "DenseLayer",
    "DenseNet",
    "GoogLeNet",
    "Inception",
    "InceptionV2",
    "InceptionV3",
    "LeNet5",
    "LeNet5Original",
    "Mixed",
    "ResNet",
    "Subsampling",
    "TableConv",
    "Transition",
    "VisionTransformer",
    "Xception",
    "XceptionBlock",
    "ZFNet",
    "ceil_max_pool",
    "cifar_resnet",
    "digit_codes",
    "inception_a",
    "inception_c",
    "inception_v2_module",
    "padding_of",
    "published",
    "resize_positions",
    "scale",
    "squared_distances",
    "standardized_to_half",
    "subsample_and_pad",
]
