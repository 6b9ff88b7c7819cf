"""Classic data sets of labelled images, each a function that returns a `Dataset`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from jaxdl.data.batching import split
from jaxdl.data.dataset import Dataset, as_examples, as_size, resize
from jaxdl.data.files import archive, cifar, idx
from jaxdl.data.files.downloads import Remote, describe_missing, download, find, folders, require

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _idx_remotes(address: str, *checksums: str) -> dict[str, Remote]:
    files = zip(TRAIN_FILES + TEST_FILES, checksums, strict=True)
    return {file: Remote(f"{address}/{file}.gz", f"sha256:{checksum}") for file, checksum in files}


MNIST_REMOTES = _idx_remotes(
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
FASHION_REMOTES = _idx_remotes(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
CIFAR10_BINARY = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"
)
CIFAR10_PYTHON = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "md5:c58f30108f718f92721af3b95e74349a"
)
CIFAR10_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def digits(*, size: int | tuple[int, int] = 8, method: str = "bilinear") -> Dataset:
    """Load the 1,797 handwritten digits of scikit-learn, 8x8 grey: 1,437 for training, 360 for testing.

    The split is fixed and stratified by class. ``size`` enlarges the images (LeNet needs 28 or 32) by ``method``,
    "bilinear" or "nearest". Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits" (1998), test part.

    >>> digits(size=28).test["image"].shape
    (360, 28, 28, 1)
    """
    size = as_size(size)
    data = require("sklearn.datasets", "reading the digits").load_digits()
    image = resize((data.images[..., None] / 16).astype(np.float32), size, method)
    train, test = split({"image": image, "label": data.target.astype(np.int32)}, 360, seed=0)
    return Dataset("digits", train, test, DIGIT_NAMES, "scikit-learn, load_digits (Alpaydin and Kaynak, 1998)")


def mnist(data_dir: str | Path | None = None, *, fetch: bool = True) -> Dataset:
    """Load MNIST, 28x28 grey digits: 60,000 for training, 10,000 for testing.

    Reads the four IDX files, plain or ``.gz``, from the data folder (see `jaxdl.data.files.downloads.folders`). Missing
    files are downloaded from the official mirror, unless ``fetch`` is False. Source: LeCun, Cortes, Burges (1998).

    Raises:
        FileNotFoundError: files are missing; the error lists them and their folder.
        ValueError: a file is damaged.
    """
    source = "MNIST (LeCun, Cortes, Burges, 1998)"
    train, test = _idx_parts(source, MNIST_REMOTES, folders("mnist", data_dir), fetch)
    return Dataset("mnist", train, test, DIGIT_NAMES, source)


def fashion_mnist(data_dir: str | Path | None = None, *, fetch: bool = True) -> Dataset:
    """Load Fashion-MNIST, 28x28 grey pieces of clothing: 60,000 for training, 10,000 for testing.

    Files, options and errors as for `mnist`. Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST" (2017).
    """
    source = "Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017)"
    train, test = _idx_parts(source, FASHION_REMOTES, folders("fashion_mnist", data_dir), fetch)
    return Dataset("fashion_mnist", train, test, FASHION_NAMES, source)


def cifar10(data_dir: str | Path | None = None, *, fetch: bool = True) -> Dataset:
    """Load CIFAR-10, 32x32 colour photographs of 10 classes: 50,000 for training, 10,000 for testing.

    Reads the batches of the Python or the binary version, extracted or in ``cifar-10-python.tar.gz`` or
    ``cifar-10-binary.tar.gz``, from the data folder; otherwise downloads the binary version, unless ``fetch`` is False.
    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).

    Raises:
        FileNotFoundError: files are missing; the error lists them and their folder.
        ValueError: a file is damaged or malicious.
    """
    places = folders("cifar10", data_dir)
    batches = _cifar10_batches(places)
    if batches is None:
        packed = find(places, CIFAR10_BINARY.filename, CIFAR10_PYTHON.filename)
        if packed is None:
            wanted = f"{CIFAR10_BINARY.filename} or {CIFAR10_PYTHON.filename}, packed or extracted,"
            packed = _fetched("CIFAR-10", [CIFAR10_BINARY], places[0], wanted, fetch)[0]
        archive.extract(packed, packed.with_name(packed.name.removesuffix(".tar.gz")), max_files=100)
        batches = _cifar10_batches(places)
    if batches is None:
        raise ValueError(
            f"{packed}: expected the batches {', '.join(CIFAR10_BATCHES)} of CIFAR-10, got an archive without"
        )
    parts = [cifar.read_binary(path) if path.suffix == ".bin" else cifar.read_pickle(path) for path in batches]
    train = as_examples(*(np.concatenate(part) for part in zip(*parts[:5], strict=True)))
    return Dataset("cifar10", train, as_examples(*parts[5]), cifar.CLASSES, "CIFAR-10 (Krizhevsky, 2009)")


def _idx_parts(
    title: str, remotes: Mapping[str, Remote], places: list[Path], fetch: bool
) -> Iterator[dict[str, np.ndarray]]:
    paths = {file: path for file in remotes if (path := find(places, file, f"{file}.gz"))}
    absent = [file for file in remotes if file not in paths]
    if absent:
        wanted = f"{', '.join(absent)} (each plain or .gz)"
        fetched = _fetched(title, [remotes[file] for file in absent], places[0], wanted, fetch)
        paths |= dict(zip(absent, fetched, strict=True))
    for images, labels in (TRAIN_FILES, TEST_FILES):
        yield as_examples(*idx.read_pair(paths[images], paths[labels], num_classes=10, size=(28, 28)))


def _fetched(title: str, remotes: list[Remote], folder: Path, wanted: str, fetch: bool) -> list[Path]:
    if not fetch:
        raise FileNotFoundError(describe_missing(title, remotes, folder, wanted))
    return download(title, remotes, folder, wanted)


def _cifar10_batches(places: list[Path]) -> list[Path] | None:
    """Return the six files of one version, if they exist."""
    for version, suffix in (("binary", ".bin"), ("python", "")):
        extracted = f"cifar-10-batches-{'bin' if suffix else 'py'}"
        for folder in ("", extracted, f"cifar-10-{version}/{extracted}"):
            for place in places:
                paths = [place / folder / f"{batch}{suffix}" for batch in CIFAR10_BATCHES]
                if all(path.is_file() for path in paths):
                    return paths
    return None
