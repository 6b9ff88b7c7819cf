"""Names of weights, one family of models a file: ``RULES`` has the rules of a model by the source of its weights."""

from jaxdl.pretrained.families import (
    alexnet,
    bert,
    deeplab,
    densenet,
    fcn,
    fcos,
    googlenet,
    gpt,
    inception,
    mask_head,
    resnet,
    vgg,
    vit,
    xception,
)

__all__ = [
    "alexnet",
    "bert",
    "deeplab",
    "densenet",
    "fcn",
    "fcos",
    "googlenet",
    "gpt",
    "inception",
    "mask_head",
    "resnet",
    "vgg",
    "vit",
    "xception",
]
