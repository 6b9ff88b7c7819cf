"""Weights that others have published: where they are, their checksums and licences, and the images that they expect."""

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdl import data
from jaxdl.checks import did_you_mean, shorten
from jaxdl.data.files.downloads import folders, require

ADDRESS = "https://download.pytorch.org/models"
MIRROR = "JAXDL_WEIGHTS_ADDRESS"
"""The environment variable with another address for torchvision's files, such as that of a local mirror."""
HUB = "https://huggingface.co"
HUB_MIRROR = "HF_ENDPOINT"
"""The environment variable with another address for the files of Hugging Face, which its own library reads too."""
LICENCE = "BSD-3-Clause (torchvision); the pictures of ImageNet are for research that is not commercial"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Published(NamedTuple):
    """One file of weights.

    Attributes:
        name: of our model, in ``models.list()``.
        source: of the weights, for `load`.
        filename: of the file, here.
        checksum: its SHA-256, or the first digits of it, which torchvision publishes in the name of the file.
        licence: of the weights.
        resized: the shorter side of a picture in pixels, before the crop; None for a model of text.
        cropped: the side of the square in its centre, the input of the model; None for a model of text.
        fields: of the model that differ from the defaults.
        revision: for Hugging Face the repository and its commit, ``"OWNER/NAME/resolve/COMMIT"``.
    """

    name: str
    source: str
    filename: str
    checksum: str
    licence: str
    resized: int | None
    cropped: int | None
    fields: dict[str, Any]
    revision: str = ""

    @property
    def address(self) -> str:
        """Where the file is."""
        if self.revision:
            return f"{os.environ.get(HUB_MIRROR, HUB).rstrip('/')}/{self.revision}/model.safetensors"
        return f"{os.environ.get(MIRROR, ADDRESS).rstrip('/')}/{self.filename}"


def _torchvision(name: str, filename: str, cropped: int = 224, resized: int = 256, **fields: Any) -> Published:
    checksum = filename.removesuffix(".pth").rpartition("-")[2]
    return Published(name, "torchvision", filename, checksum, LICENCE, resized, cropped, fields)


def _huggingface(name: str, source: str, repository: str, commit: str, checksum: str, licence: str) -> Published:
    revision = f"{repository}/resolve/{commit}"
    filename = f"{repository.rpartition('/')[2]}-{checksum[:8]}.safetensors"
    return Published(name, source, filename, checksum, licence, None, None, {}, revision)


WEIGHTS = {
    each.name: each
    for each in (
        _torchvision("alexnet", "alexnet-owt-7be5be79.pth"),
        _torchvision("vgg11", "vgg11-8a719046.pth"),
        _torchvision("vgg11_bn", "vgg11_bn-6002323d.pth"),
        _torchvision("vgg13", "vgg13-19584684.pth"),
        _torchvision("vgg13_bn", "vgg13_bn-abd245e5.pth"),
        _torchvision("vgg16", "vgg16-397923af.pth"),
        _torchvision("vgg16_bn", "vgg16_bn-6c64b313.pth"),
        _torchvision("vgg19", "vgg19-dcbb9e9d.pth"),
        _torchvision("vgg19_bn", "vgg19_bn-c79401a0.pth"),
        _torchvision("resnet18", "resnet18-f37072fd.pth"),
        _torchvision("resnet34", "resnet34-b627a593.pth"),
        _torchvision("resnet50", "resnet50-0676ba61.pth"),
        _torchvision("resnet101", "resnet101-63fe2227.pth"),
        _torchvision("resnet152", "resnet152-394f9c45.pth"),
        _torchvision("densenet121", "densenet121-a639ec97.pth"),
        _torchvision("densenet161", "densenet161-8d451a50.pth"),
        _torchvision("densenet169", "densenet169-b2777c0a.pth"),
        _torchvision("densenet201", "densenet201-c1103571.pth"),
        _torchvision("googlenet", "googlenet-1378be20.pth", transform_input=True),
        _torchvision("inception_v3", "inception_v3_google-0cc3c7bd.pth", 299, 342, transform_input=True),
        _torchvision("vit_b16", "vit_b_16-c867db91.pth"),
        _torchvision("vit_b32", "vit_b_32-d86f8d99.pth"),
        _torchvision("vit_l16", "vit_l_16-852ce7e3.pth", resized=242),
        _huggingface(
            "gpt2",
            "huggingface_model",
            "openai-community/gpt2",
            "607a30d783dfa663caf39e06633721c8d4cfcd7e",
            "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
            "MIT",
        ),
        _huggingface(
            "bert_base",
            "huggingface_first",
            "google-bert/bert-base-uncased",
            "86b5e0934494bd15c9632b12f734a8a67f723594",
            "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
            "Apache-2.0",
        ),
        _huggingface(
            "smollm2_135m",
            "huggingface",
            "HuggingFaceTB/SmolLM2-135M",
            "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
            "80521b40281d6ce74e35c9282c22539e75aa0ac8578892b2a59955ef78d55da1",
            "Apache-2.0",
        ),
    )
}
"""By the name of our model: torchvision's first weights for ImageNet, and texts' models of Hugging Face."""


def available() -> list[Published]:
    """List the published weights that `download` finds.

    >>> [(each.name, each.checksum) for each in available()][:2]
    [('alexnet', '7be5be79'), ('vgg11', '8a719046')]
    """
    return list(WEIGHTS.values())


def find_published(name: str) -> Published:
    """Return the published weights of a model.

    Raises:
        ValueError: none are listed; the error suggests the nearest.

    >>> find_published("resnet5")
    Traceback (most recent call last):
    ValueError: expected a model with published weights, got 'resnet5'; did you mean 'resnet50' or 'resnet152'?
    """
    if name not in WEIGHTS:
        raise ValueError(
            f"expected a model with published weights, got {shorten(repr(name))}; {did_you_mean(name, WEIGHTS)}"
        )
    return WEIGHTS[name]


def download(name: str, folder: Path | str | None = None) -> Path:
    """Download the published weights of a model, unless they are there, and return the file.

    A file gets its name only after its checksum is verified.

    Args:
        name: in `available`.
        folder: of the file; None for ``$JAXDL_DATA/weights`` or ``~/.cache/jaxdl/data/weights``.

    Raises:
        ValueError: there are no such weights, or the file has another checksum.
        FileNotFoundError: the download failed, as without a network; the error gives address and folder.
        ImportError: pooch is not installed.
    """
    weights = find_published(name)
    folder = folders("weights")[0] if folder is None else Path(folder).expanduser()
    path = folder / weights.filename
    if path.exists():
        return path
    by_hand = f"put {weights.address} into {folder}"
    try:
        pooch = require("pooch", f"downloading {weights.filename}")
        pooch.get_logger().setLevel("WARNING")  # it advises to give a checksum, of which there are the first digits
        partial = Path(pooch.retrieve(weights.address, None, fname=f"{weights.filename}.partial", path=folder))
    except ImportError as error:
        raise ImportError(f"{error}\nOr without it: {by_hand}") from error
    except OSError as error:
        raise FileNotFoundError(f"expected {weights.filename}, got no answer ({error}); {by_hand}") from error
    digest = pooch.file_hash(str(partial))
    if not digest.startswith(weights.checksum):
        partial.unlink()
        raise ValueError(
            f"expected {weights.address} with the SHA-256 {weights.checksum[:8]}..., got {digest}; try again"
        )
    partial.replace(path)
    return path


def prepare_image(weights: Published, path: Path | str) -> np.ndarray:
    """Read a picture as the weights expect it, float32 ``[H, W, 3]``.

    The shorter side is resized to ``weights.resized``, the centre cropped to ``weights.cropped``, and the channels are
    standardized by the mean and the deviation of ImageNet.

    Raises:
        ValueError: the file is no image, or the weights are of a model of text.
        ImportError: pillow is not installed.
    """
    if weights.resized is None or weights.cropped is None:
        raise ValueError(f"expected weights of a model of images, got {weights.name!r}; choose another name")
    whole = data.read_image(path)
    height, width = whole.shape[:2]
    short = min(height, width)
    size = (weights.resized * height // short, weights.resized * width // short)
    image = data.read_image(path, size=size)
    top, left = (round((side - weights.cropped) / 2) for side in size)
    image = image[top : top + weights.cropped, left : left + weights.cropped].astype(np.float32) / 255
    return np.asarray(data.standardize(image, np.array(MEAN), np.array(STD)))


@cache
def class_names() -> tuple[str, ...]:
    """Return the names of the 1000 classes of ImageNet, in torchvision's words.

    >>> len(class_names()), class_names()[1]
    (1000, 'goldfish')
    """
    text = resources.files("jaxdl.pretrained").joinpath("imagenet.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
