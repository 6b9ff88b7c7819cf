"""Sources of data: labelled images, text, and synthetic tasks.

Images
    `digits`, `mnist`, `fashion_mnist`, `cifar10`: classic data sets.
    `image_folder`: images in one folder for each class; `read_image`: one file.
    `read_coco`, `read_voc`: pictures with objects; `decode_mask`, and `annotations`, what they check.
    `patterns`: random characters and gratings.
    `cells`: nuclei with a number for each, drawn and read; `lesions`: images with several right masks.
Text
    `read_text`, `python_source`, `tiny_shakespeare`: plain text.
    `movie_reviews`, and `corpora`: reviews with labels, sentences with tags.
    `templates`: generated reviews with negations.
    `read_parallel_table`, `read_parallel_files`: sources and targets, in a table or in two files.
    `python_code`: Python sources with a tag for every word.
Tables
    `mortgages`: applications with the groups of their applicants, drawn and read.
Synthetic tasks
    `automata`: strings of bits in regular languages.
    `synthetic`: points and labels.
    `sequences`: sequences, such as the adding problem and Markov chains.
    `documents`: sentences with planted words.
    `translation`: dates, and a language with two rules.
"""

from jaxdl.data.sources import (
    annotations,
    automata,
    cells,
    corpora,
    documents,
    lesions,
    mortgages,
    patterns,
    python_code,
    sequences,
    synthetic,
    templates,
    translation,
)
from jaxdl.data.sources.coco import decode_mask, read_coco
from jaxdl.data.sources.folder import image_folder, read_image
from jaxdl.data.sources.images import cifar10, digits, fashion_mnist, mnist
from jaxdl.data.sources.parallel import read_parallel_files, read_parallel_table
from jaxdl.data.sources.reviews import movie_reviews
from jaxdl.data.sources.texts import python_source, read_text, tiny_shakespeare
from jaxdl.data.sources.voc import read_voc

__all__ = [
    "annotations",
    "automata",
    "cells",
    "cifar10",
    "corpora",
    "decode_mask",
    "digits",
    "documents",
    "fashion_mnist",
    "image_folder",
    "lesions",
    "mnist",
    "mortgages",
    "movie_reviews",
    "patterns",
    "python_code",
    "python_source",
    "read_coco",
    "read_image",
    "read_parallel_files",
    "read_parallel_table",
    "read_text",
    "read_voc",
    "sequences",
    "synthetic",
    "templates",
    "tiny_shakespeare",
    "translation",
]
