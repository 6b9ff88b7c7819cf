"""Weights of torchvision, timm, Hugging Face, torch and Keras as variables of our models, and back.

- `load`, `export`: the weights of a registered model, from a file, a folder or a mapping and to one
- `available`, `download`, `Published`: published weights by name; `prepare_image` and `class_names` for their images
- `load_folder`: model and weights of a folder of transformers, by its ``config.json``
- `load_gguf`, `read_gguf`, `gguf_tokenizer`: the same of a GGUF file, with quantized weights and a vocabulary
- `load_marian`: a translation model of Marian
- `convert`, `template`, `rules_of`: the same for a model of your own
- `read`, `save`: files of arrays, which run no code
- `Rule`, `to_theirs`, `Layout`, `Change`; `rules`, `layouts`: how names and layouts of weights correspond
- `configs`, `formats`: the settings and the formats of files
- `recurrent`: cells of torch, Keras and flax
- `families`: the names of each family of models
"""

from jaxdl.pretrained import configs, families, formats, layouts, loading, published, recurrent, rules
from jaxdl.pretrained.files import read, rename, save
from jaxdl.pretrained.gguf_files import gguf_tokenizer, load_gguf, read_gguf
from jaxdl.pretrained.layouts import Change, Layout
from jaxdl.pretrained.loading import convert, export, load, load_folder, rules_of, template
from jaxdl.pretrained.marian import load_marian
from jaxdl.pretrained.published import (
    Published,
    available,
    class_names,
    download,
    find_published,
    prepare_image,
)
from jaxdl.pretrained.rules import Rule, to_theirs

__all__ = [
    "Change",
    "Layout",
    "Published",
    "Rule",
    "available",
    "class_names",
    "configs",
    "convert",
    "download",
    "export",
    "families",
    "find_published",
    "formats",
    "gguf_tokenizer",
    "layouts",
    "load",
    "load_folder",
    "load_gguf",
    "load_marian",
    "loading",
    "prepare_image",
    "published",
    "read",
    "read_gguf",
    "recurrent",
    "rename",
    "rules",
    "rules_of",
    "save",
    "template",
    "to_theirs",
]
