"""Sources: found where they should be, downloaded with checksums, and clear about what is missing."""

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
from jaxdl.data.files import download as files
from jaxdl.data.sources import images
from tests.data.writers import write_cifar, write_mnist


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(request, monkeypatch, tmp_path):
    if "real" not in request.node.name:
        monkeypatch.delenv("JAXDL_DATA", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def serve():
    """Serve a folder on this machine, and list what was asked for."""
    servers, asked = [], []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, message, *arguments):
            asked.append(self.path)

    def start(folder):
        handler = partial(Handler, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", asked

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


def test_digits_are_those_of_scikit_learn_in_a_fixed_split():
    digits = data.digits()
    check(digits, 1437, 360, (8, 8, 1))
    sklearn = pytest.importorskip("sklearn.datasets", reason="where the digits come from")
    whole = sklearn.load_digits()
    rows = np.concatenate([digits.train["image"], digits.test["image"]]).reshape(1797, 64)
    labels = np.concatenate([digits.train["label"], digits.test["label"]])
    assert sorted(map(tuple, np.c_[rows * 16, labels])) == sorted(map(tuple, np.c_[whole.data, whole.target]))
    assert np.bincount(digits.test["label"]).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert hashlib.sha256(digits.test["image"].tobytes()).hexdigest()[:16] == "c958d53cdd80b2bc"


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_digits_come_in_the_size_of_lenet(method):
    large, small = data.digits(size=32, method=method), data.digits()
    check(large, 1437, 360, (32, 32, 1))
    if method == "nearest":
        np.testing.assert_array_equal(large.test["image"][:, ::4, 3::4], small.test["image"])
    np.testing.assert_allclose(large.test["image"].mean(), small.test["image"].mean(), rtol=0.02)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("place", ["argument", "argument/name", "environment", "cache"])
def test_idx_sources_are_read_from_each_place(tmp_path, monkeypatch, name, compressed, place):
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


def test_a_bare_folder_in_the_environment_is_not_taken_for_another_data_set(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setenv("JAXDL_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        data.fashion_mnist(fetch=False)


def test_labels_out_of_range_are_refused(tmp_path):
    write_mnist(tmp_path, compressed=False)
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte: labels must lie in 0 \.\. 9"):
        data.mnist(tmp_path)


def test_what_is_missing_is_named_with_its_place_and_address(tmp_path):
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
        file: files.Remote(
            f"{address}/{file}.gz", "sha256:" + hashlib.sha256((folder / f"{file}.gz").read_bytes()).hexdigest()
        )
        for file in images.TRAIN_FILES + images.TEST_FILES
    }


def test_missing_files_are_downloaded_once_and_then_read(tmp_path, monkeypatch, serve):
    pytest.importorskip("pooch", reason="what downloads")
    write_mnist(tmp_path / "server")
    address, asked = serve(tmp_path / "server")
    monkeypatch.setattr(images, "MNIST_REMOTES", remotes_at(address, tmp_path / "server"))
    for _ in range(2):
        check(data.mnist(), 20, 10, (28, 28, 1))
    assert sorted(asked) == sorted(f"/{file}.gz" for file in images.MNIST_REMOTES)
    assert (tmp_path / "cache/jaxdl/data/mnist/t10k-labels-idx1-ubyte.gz").is_file()


def test_a_download_of_something_else_is_refused_and_not_kept(tmp_path, monkeypatch, serve):
    pytest.importorskip("pooch", reason="what downloads")
    write_mnist(tmp_path / "server")
    address, _ = serve(tmp_path / "server")
    monkeypatch.setattr(images, "MNIST_REMOTES", remotes_at(address, tmp_path / "server"))
    (tmp_path / "server" / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match="hash of downloaded file"):
        data.mnist(tmp_path / "here")
    assert not list((tmp_path / "here").rglob("train-images*"))


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch, serve):
    pytest.importorskip("pooch", reason="what downloads")
    (tmp_path / "server").mkdir()
    address, _ = serve(tmp_path / "server")
    remote = files.Remote(f"{address}/cifar-10-binary.tar.gz", "md5:" + "0" * 32)
    monkeypatch.setattr(images, "CIFAR10_BINARY", remote)
    with pytest.raises(FileNotFoundError, match=r"(?s)Put cifar-10-binary.*into .*here/cifar10.*failed: 404"):
        data.cifar10(tmp_path / "here")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("version", ["binary", "python"])
def test_cifar10_is_read_packed_and_unpacked(tmp_path, version, packed):
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


def test_an_archive_without_batches_is_refused(tmp_path):
    (tmp_path / "readme").write_text("nothing")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "readme", "readme")
    with pytest.raises(ValueError, match="does not hold the batches of CIFAR-10: data_batch_1"):
        data.cifar10(tmp_path)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("sklearn.datasets", data.digits),
        ("pooch", data.mnist),
        ("PIL.Image", lambda: data.image_folder(pathlib.Path("pictures"))),
    ],
)
def test_a_missing_dependency_is_named_with_its_extra(tmp_path, monkeypatch, module, call):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    (tmp_path / "pictures" / "cat" / "1.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}: pip install 'jaxdl\[experiments\]'"):
        call()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("fashon", "did you mean 'fashion_mnist'"),
        ("MNIST", "choose from 'cifar10', 'digits'"),
        ("cifar", "did you mean 'cifar10'"),
        ("", "choose from 'cifar10', 'digits'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, advice):
    with pytest.raises(ValueError, match=f"got '{name}'; {advice}"):
        data.load(name)


def test_every_checksum_is_one_of_its_kind():
    remotes = [*images.MNIST_REMOTES.values(), *images.FASHION_REMOTES.values()]
    for remote in [*remotes, images.CIFAR10_BINARY, images.CIFAR10_PYTHON]:
        kind, value = remote.checksum.split(":")
        assert len(bytes.fromhex(value)) == hashlib.new(kind).digest_size
    assert len({remote.checksum for remote in remotes}) == 8


def test_real_mnist_is_the_official_one():
    places = files.folders("mnist", os.environ.get("JAXDL_DATA"))
    if files.find(places, "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz") is None:
        pytest.skip(f"no MNIST in {places[0]}: set JAXDL_DATA to try the real files")
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
