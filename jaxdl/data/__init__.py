"""Data: loaders, augmentation, text, vocabularies, sources and file formats.

Labelled images
    `load`, `list_datasets`: data sets by name.
    `Dataset`, `as_examples`: the result, and its arrays.
    `statistics`, `standardize`, `resize`, `as_size`: size and scale of images.
    `read_image`: one file, and `files.masks` for masks.
    `border_weights`, `separate_touching`: weights of pixels for segmentation, and gaps between objects.
    `augment_pixels`: augmentation of images with labels.
    `augmentation`, `warping`: random transformations of images, and the resampling below them.
Pictures with objects
    `read_coco`, `read_voc`: annotations, a `PictureSet` of `Picture`; `decode_mask`, `instance_masks`, `mask_boxes`.
    `pad_pictures`: batches of pictures of different sizes.
    `flip_objects`, `crop_objects`, `scale_objects`, `affine_objects`: transformations of pictures, boxes and masks.
    `box_average_precision`, `mask_average_precision`: the evaluation of COCO.
Batches
    `Loader`, `padded_batches`: batches of arrays in an order that depends on seed and epoch alone.
    `from_iterable`, which makes an `IterableLoader`: generators, data loaders of torch and grain, lists of batches.
    `BucketLoader`, `ParallelLoader`, `choose_boundaries`, `pad`: sequences of different lengths, alone or in pairs.
    `permutation`, `EpochLoader`: the order itself, and the base of the loaders.
    `split`, `count_examples`, `check_integers`, `prefetch`: held-out examples, sizes, ranges, reading ahead.
Text, trees, strokes and audio
    `text`: words, streams and windows; `word_polarity`, `keep_polar`: removal of words without sentiment.
    `read_parallel_table`, `read_parallel_files`: pairs of texts of the user.
    `Vocabulary`, with `PAD`, `UNK`, `BOS`, `EOS`: tokens and their ids.
    `trees`, `strokes`, `audio`: trees by level, pen strokes, mu-law companding.
    `spectrograms`: power, mel bands, and masks for augmentation.
Where data come from
    `sources`: data sets, corpora and synthetic tasks, also reachable from here.
    `files`: file formats and downloads.
"""

from jaxdl.data import audio, augmentation, files, sources, spectrograms, strokes, text, trees, warping
from jaxdl.data.batching import Loader, check_integers, count_examples, padded_batches, prefetch, split
from jaxdl.data.bucketing import BucketLoader, ParallelLoader, choose_boundaries, pad
from jaxdl.data.dataset import Dataset, as_examples, as_size, resize, standardize, statistics
from jaxdl.data.epochs import EpochLoader, permutation
from jaxdl.data.files import archive, cifar, downloads, idx, pickles
from jaxdl.data.iterables import IterableLoader, from_iterable
from jaxdl.data.object_augmentation import affine_objects, crop_objects, flip_objects, scale_objects
from jaxdl.data.objects import Picture, PictureSet, instance_masks, mask_boxes, pad_pictures
from jaxdl.data.polarity import keep_polar, word_polarity
from jaxdl.data.precision import box_average_precision, mask_average_precision
from jaxdl.data.registry import list_datasets, load
from jaxdl.data.segmentation import augment_pixels, border_weights, separate_touching
from jaxdl.data.sources import (
    automata,
    cells,
    cifar10,
    corpora,
    decode_mask,
    digits,
    documents,
    fashion_mnist,
    image_folder,
    lesions,
    mnist,
    mortgages,
    movie_reviews,
    patterns,
    python_code,
    python_source,
    read_coco,
    read_image,
    read_parallel_files,
    read_parallel_table,
    read_text,
    read_voc,
    sequences,
    synthetic,
    templates,
    tiny_shakespeare,
    translation,
)
from jaxdl.data.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Vocabulary

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "SPECIAL_TOKENS",
    "UNK",
    "BucketLoader",
    "Dataset",
    "EpochLoader",
    "IterableLoader",
    "Loader",
    "ParallelLoader",
    "Picture",
    "PictureSet",
    "Vocabulary",
    "affine_objects",
    "archive",
    "as_examples",
    "as_size",
    "audio",
    "augment_pixels",
    "augmentation",
    "automata",
    "border_weights",
    "box_average_precision",
    "cells",
    "check_integers",
    "choose_boundaries",
    "cifar",
    "cifar10",
    "corpora",
    "count_examples",
    "crop_objects",
    "decode_mask",
    "digits",
    "documents",
    "downloads",
    "fashion_mnist",
    "files",
    "flip_objects",
    "from_iterable",
    "idx",
    "image_folder",
    "instance_masks",
    "keep_polar",
    "lesions",
    "list_datasets",
    "load",
    "mask_average_precision",
    "mask_boxes",
    "mnist",
    "mortgages",
    "movie_reviews",
    "pad",
    "pad_pictures",
    "padded_batches",
    "patterns",
    "permutation",
    "pickles",
    "prefetch",
    "python_code",
    "python_source",
    "read_coco",
    "read_image",
    "read_parallel_files",
    "read_parallel_table",
    "read_text",
    "read_voc",
    "resize",
    "scale_objects",
    "separate_touching",
    "sequences",
    "sources",
    "spectrograms",
    "split",
    "standardize",
    "statistics",
    "strokes",
    "synthetic",
    "templates",
    "text",
    "tiny_shakespeare",
    "translation",
    "trees",
    "warping",
    "word_polarity",
]
