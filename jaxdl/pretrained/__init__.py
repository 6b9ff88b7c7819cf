"""Weights of torchvision, timm and Hugging Face as variables of our models, and back; one file of names a family."""

from jaxdl.pretrained import recurrent
from jaxdl.pretrained.files import read, save
from jaxdl.pretrained.layouts import Change, Layout
from jaxdl.pretrained.loading import convert, export, load, rules_of, template
from jaxdl.pretrained.rules import Rule, to_theirs

__all__ = [
    "Change",
    "Layout",
    "Rule",
    "convert",
    "export",
    "load",
    "read",
    "recurrent",
    "rules_of",
    "save",
    "template",
    "to_theirs",
]
