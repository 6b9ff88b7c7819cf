"""Image data sets: data folders, downloads with checksums, and errors for missing files."""

import hashlib
import http.server
import os
import pathlib
import sys
import tarfile
import threading
from functools import partial

import numpy as np
import pytest

from jaxdl import data
from jaxdl.data.files import downloads
from jaxdl.data.sources import images
from tests.data.writers import write_cifar, write_mnist


@pytest.fixture(autouse=True)
def _hide_local_data(request, monkeypatch, tmp_path):
    if "real" not in request.node.name:
        monkeypatch.delenv("JAXDL_DATA", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def serve():
    """Serve a folder on localhost, and list the requests."""
    servers, requests = [], []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, message, *arguments):
            requests.append(self.path)

    def start(folder):
        handler = partial(Handler, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def check(dataset, train, test, shape, classes=10):
    for part, count in ((dataset.train, train), (dataset.test, test)):
        assert part["image"].shape == (count, *shape)
        assert part["image"].dtype == np.float32
        assert 0 <= part["image"].min() <= part["image"].max() <= 1
        assert part["label"].shape == (count,)
        assert part["label"].dtype == np.int32
    assert len(dataset.classes) == classes
    assert dataset.source


def test_digits_agree_with_scikit_learn_in_a_fixed_split():
    digits = data.digits()
    check(digits, 1437, 360, (8, 8, 1))
    sklearn = pytest.importorskip("sklearn.datasets", reason="the source of the digits")
    whole = sklearn.load_digits()
    rows = np.concatenate([digits.train["image"], digits.test["image"]]).reshape(1797, 64)
    labels = np.concatenate([digits.train["label"], digits.test["label"]])
    assert sorted(map(tuple, np.c_[rows * 16, labels])) == sorted(map(tuple, np.c_[whole.data, whole.target]))
    assert np.bincount(digits.test["label"]).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert hashlib.sha256(digits.test["image"].tobytes()).hexdigest()[:16] == "c958d53cdd80b2bc"


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_digits_are_enlarged(method):
    large, small = data.digits(size=32, method=method), data.digits()
    check(large, 1437, 360, (32, 32, 1))
    if method == "nearest":
        np.testing.assert_array_equal(large.test["image"][:, ::4, 3::4], small.test["image"])
    np.testing.assert_allclose(large.test["image"].mean(), small.test["image"].mean(), rtol=0.02)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("place", ["argument", "argument/name", "environment", "cache"])
def test_IDX_data_sets_are_read_from_every_place(tmp_path, monkeypatch, name, compressed, place):
    root = tmp_path / "cache" / "jaxdl" / "data" if place == "cache" else tmp_path / "root"
    arrays = write_mnist(root if place == "argument" else root / name, compressed=compressed)
    if place == "environment":
        monkeypatch.setenv("JAXDL_DATA", str(root))
    dataset = data.load(name, root if place.startswith("argument") else None)
    check(dataset, 20, 10, (28, 28, 1))
    for part, prefix in ((dataset.train, "train"), (dataset.test, "t10k")):
        restored = np.round(part["image"][..., 0] * 255).astype(np.uint8)
        np.testing.assert_array_equal(restored, arrays[f"{prefix}-images-idx3-ubyte"])
        np.testing.assert_array_equal(part["label"], arrays[f"{prefix}-labels-idx1-ubyte"])
    assert dataset.name == name
    assert dataset.classes[9] == ("9" if name == "mnist" else "Ankle boot")


def test_a_folder_in_the_environment_is_searched_by_name_alone(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setenv("JAXDL_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        data.fashion_mnist(fetch=False)


def test_labels_out_of_range_are_an_error(tmp_path):
    write_mnist(tmp_path, compressed=False)
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte: .*got 10"):
        data.mnist(tmp_path)


def test_missing_files_are_listed_with_folder_and_address(tmp_path):
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        data.mnist(tmp_path, fetch=False)
    message = str(caught.value)
    assert f"Put train-labels-idx1-ubyte (each plain or .gz) into {tmp_path / 'mnist'}" in message
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz" in message
    assert "train-images" not in message
    assert "JAXDL_DATA" in message
    with pytest.raises(FileNotFoundError, match=r"cifar-10-binary\.tar\.gz or cifar-10-python\.tar\.gz"):
        data.cifar10(tmp_path, fetch=False)


def remotes_at(address, folder):
    return {
        file: downloads.Remote(
            f"{address}/{file}.gz", "sha256:" + hashlib.sha256((folder / f"{file}.gz").read_bytes()).hexdigest()
        )
        for file in images.TRAIN_FILES + images.TEST_FILES
    }


def test_missing_files_are_downloaded_once(tmp_path, monkeypatch, serve):
    pytest.importorskip("pooch", reason="pooch downloads")
    write_mnist(tmp_path / "server")
    address, requests = serve(tmp_path / "server")
    monkeypatch.setattr(images, "MNIST_REMOTES", remotes_at(address, tmp_path / "server"))
    for _ in range(2):
        check(data.mnist(), 20, 10, (28, 28, 1))
    assert sorted(requests) == sorted(f"/{file}.gz" for file in images.MNIST_REMOTES)
    assert (tmp_path / "cache/jaxdl/data/mnist/t10k-labels-idx1-ubyte.gz").is_file()


def test_a_download_with_another_checksum_is_an_error_and_removed(tmp_path, monkeypatch, serve):
    pytest.importorskip("pooch", reason="pooch downloads")
    write_mnist(tmp_path / "server")
    address, _ = serve(tmp_path / "server")
    monkeypatch.setattr(images, "MNIST_REMOTES", remotes_at(address, tmp_path / "server"))
    (tmp_path / "server" / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match="hash of downloaded file"):
        data.mnist(tmp_path / "here")
    assert not list((tmp_path / "here").rglob("train-images*"))


def test_a_failed_download_lists_the_files(tmp_path, monkeypatch, serve):
    pytest.importorskip("pooch", reason="pooch downloads")
    (tmp_path / "server").mkdir()
    address, _ = serve(tmp_path / "server")
    remote = downloads.Remote(f"{address}/cifar-10-binary.tar.gz", "md5:" + "0" * 32)
    monkeypatch.setattr(images, "CIFAR10_BINARY", remote)
    with pytest.raises(FileNotFoundError, match=r"(?s)Put cifar-10-binary.*into .*here/cifar10.*failed: 404"):
        data.cifar10(tmp_path / "here")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("version", ["binary", "python"])
def test_CIFAR10_is_read_packed_and_extracted(tmp_path, version, packed):
    folder = f"cifar-10-batches-{'bin' if version == 'binary' else 'py'}"
    pixels, labels = write_cifar(tmp_path / "made" / folder, count=4, binary=version == "binary")
    home = tmp_path / "home" / "cifar10"
    home.mkdir(parents=True)
    if packed:
        with tarfile.open(home / f"cifar-10-{version}.tar.gz", "w:gz") as tar:
            tar.add(tmp_path / "made" / folder, folder)
    else:
        (tmp_path / "made" / folder).rename(home / folder)
    for _ in range(2):
        dataset = data.load("cifar10", tmp_path / "home")
        check(dataset, 20, 4, (32, 32, 3))
        np.testing.assert_array_equal(dataset.train["label"], labels[:20])
        np.testing.assert_allclose(dataset.test["image"].transpose(0, 3, 1, 2) * 255, pixels[20:], atol=1e-4)


def test_an_archive_without_batches_is_an_error(tmp_path):
    (tmp_path / "readme").write_text("nothing")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "readme", "readme")
    with pytest.raises(ValueError, match="expected the batches data_batch_1"):
        data.cifar10(tmp_path)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("sklearn.datasets", data.digits),
        ("pooch", data.mnist),
        ("PIL.Image", lambda: data.image_folder(pathlib.Path("pictures"))),
    ],
)
def test_a_missing_dependency_is_an_ImportError_with_its_extra(tmp_path, monkeypatch, module, call):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    (tmp_path / "pictures" / "cat" / "1.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}: pip install -e '.\[experiments\]'"):
        call()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("fashon", "fashion_mnist"), ("MNIST", "'digits'"), ("cifar", "'cifar10'"), ("", "'mnist'")],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(name, suggestion):
    with pytest.raises(ValueError, match=f"got '{name}'; .*{suggestion}"):
        data.load(name)


def test_checksums_have_the_length_of_their_hash():
    remotes = [*images.MNIST_REMOTES.values(), *images.FASHION_REMOTES.values()]
    for remote in [*remotes, images.CIFAR10_BINARY, images.CIFAR10_PYTHON]:
        kind, value = remote.checksum.split(":")
        assert len(bytes.fromhex(value)) == hashlib.new(kind).digest_size
    assert len({remote.checksum for remote in remotes}) == 8


def test_real_MNIST_has_its_official_checksum():
    places = downloads.folders("mnist", os.environ.get("JAXDL_DATA"))
    if downloads.find(places, "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz") is None:
        pytest.skip(f"no MNIST in {places[0]}: set JAXDL_DATA to test the real files")
    mnist = data.mnist(fetch=False)
    check(mnist, 60000, 10000, (28, 28, 1))
    assert np.bincount(mnist.train["label"]).tolist() == MNIST_TRAIN_COUNTS
    mean, std = data.statistics(mnist.train["image"])
    np.testing.assert_allclose([mean[0], std[0]], [0.1306605, 0.3081078], atol=1e-6)
    payload = np.round(mnist.train["image"] * 255).astype(np.uint8).tobytes()
    header = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
    digest = hashlib.sha256(header + payload).hexdigest()
    assert digest == "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"


MNIST_TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
