"""Networks for images, one family a file.

- `LeNet5`, `LeNet5Original` (1998)
- `AlexNet` (2012), `ZFNet` (2013), `VGG` (2014)
- `GoogLeNet` (2014), `InceptionV2`, `InceptionV3` (2015)
- `ResNet` (2015), `PreActivationResNet` (2016) and their blocks
- `Xception` (2016), `DenseNet` (2016), `InceptionResNetV2` (2017)
- `VisionTransformer` (2020)
"""

from jaxdl.models.vision.alexnet import AlexNet
from jaxdl.models.vision.densenet import DenseLayer, DenseNet, Transition
from jaxdl.models.vision.googlenet import ConvBias, GoogLeNet, Inception, ceil_max_pool, standardized_to_half
from jaxdl.models.vision.inception import (
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    InceptionV2,
    InceptionV2Module,
    InceptionV2Widths,
    InceptionV3,
)
from jaxdl.models.vision.inception_resnet import (
    BranchConv,
    InceptionResNetBlock,
    InceptionResNetMixed,
    InceptionResNetReduction,
    InceptionResNetV2,
)
from jaxdl.models.vision.lenet import LeNet5, LeNet5Original, Subsampling, TableConv, digit_codes, squared_distances
from jaxdl.models.vision.resnet import (
    BasicBlock,
    Bottleneck,
    PreActivationBasicBlock,
    PreActivationBottleneck,
    PreActivationResNet,
    ResNet,
    subsample_and_pad,
)
from jaxdl.models.vision.vgg import VGG
from jaxdl.models.vision.vit import VisionTransformer, resize_positions
from jaxdl.models.vision.xception import Xception, XceptionBlock
from jaxdl.models.vision.zfnet import ZFNet

__all__ = [
    "VGG",
    "AlexNet",
    "BasicBlock",
    "Bottleneck",
    "BranchConv",
    "ConvBias",
    "DenseLayer",
    "DenseNet",
    "GoogLeNet",
    "Inception",
    "InceptionA",
    "InceptionB",
    "InceptionC",
    "InceptionD",
    "InceptionE",
    "InceptionResNetBlock",
    "InceptionResNetMixed",
    "InceptionResNetReduction",
    "InceptionResNetV2",
    "InceptionV2",
    "InceptionV2Module",
    "InceptionV2Widths",
    "InceptionV3",
    "LeNet5",
    "LeNet5Original",
    "PreActivationBasicBlock",
    "PreActivationBottleneck",
    "PreActivationResNet",
    "ResNet",
    "Subsampling",
    "TableConv",
    "Transition",
    "VisionTransformer",
    "Xception",
    "XceptionBlock",
    "ZFNet",
    "ceil_max_pool",
    "digit_codes",
    "resize_positions",
    "squared_distances",
    "standardized_to_half",
    "subsample_and_pad",
]
