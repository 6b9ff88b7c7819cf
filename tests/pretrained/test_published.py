"""Published weights: the addresses are torchvision's, a local server delivers them, and images are prepared alike."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained
from jaxdl.__main__ import main
from jaxdl.pretrained import published
from tests.peers import torch, torchvision
from tests.variables import draw

PEERS = {"vit_b16": "vit_b_16", "vit_b32": "vit_b_32", "vit_l16": "vit_l_16"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a folder in the place of the official address, and let downloads go to another."""
    (tmp_path / "server").mkdir()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "server"))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    monkeypatch.setenv(published.MIRROR, f"http://127.0.0.1:{httpd.server_port}/")
    monkeypatch.setenv("JAXDL_DATA", str(tmp_path / "data"))
    yield tmp_path / "server"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_addresses_and_images_are_torchvisions():
    peers = torchvision().models
    for weights in [each for each in pretrained.available() if each.source == "torchvision"]:
        peer = peers.get_model_weights(PEERS.get(weights.name, weights.name))["IMAGENET1K_V1"]
        transform = peer.transforms()
        assert weights.address == peer.url
        assert (weights.cropped, weights.resized) == (transform.crop_size[0], transform.resize_size[0])
        assert (tuple(transform.mean), tuple(transform.std)) == (published.MEAN, published.STD)
        assert weights.name in models.list()
    assert pretrained.class_names() == tuple(peer.meta["categories"])


def test_an_image_is_prepared_as_torchvision_does(tmp_path):
    pillow = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    noise = np.random.default_rng(0).integers(256, size=(12, 15, 3)).astype(np.uint8)
    image = pillow.fromarray(noise).resize((330, 261))
    image.save(tmp_path / "image.png")
    weights = pretrained.find_published("resnet18")
    found = pretrained.prepare_image(weights, tmp_path / "image.png")
    transforms = torchvision().models.get_model_weights("resnet18")["IMAGENET1K_V1"].transforms()
    expected = transforms(image).numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def entries(**fields):
    """Draw the entries of torchvision for a model, and their file's content."""
    model = models.create("alexnet", **fields)
    return pretrained.export("alexnet", draw(model.init, jax.random.key(0), np.zeros((1, 224, 224, 3))), **fields)


def test_weights_come_from_a_server_once_and_are_verified(server, monkeypatch):
    fields = {"hidden_sizes": (3, 2), "widths": (2, 2, 2, 2, 2)}
    written = entries(**fields)
    weights = pretrained.find_published("alexnet")
    torch().save({name: torch().from_numpy(array) for name, array in written.items()}, server / weights.filename)
    with pytest.raises(ValueError, match=r"the SHA-256 7be5be79\.\.\., got"):
        pretrained.download("alexnet")
    digest = hashlib.sha256((server / weights.filename).read_bytes()).hexdigest()
    monkeypatch.setitem(published.WEIGHTS, "alexnet", weights._replace(checksum=digest[:8]))
    path = pretrained.download("alexnet")
    (server / weights.filename).unlink()
    assert pretrained.download("alexnet") == path
    model, variables = pretrained.load("alexnet", **fields)
    assert model == models.create("alexnet", **fields)
    jax.tree.map(np.testing.assert_array_equal, variables, pretrained.load("alexnet", written, **fields))


@pytest.mark.parametrize("name", ["gpt2", "bert_base", "smollm2_135m"])
def test_weights_of_text_have_the_address_of_a_commit_and_a_whole_checksum(name, server, monkeypatch, tmp_path):
    weights = pretrained.find_published(name)
    assert weights.address.startswith("https://huggingface.co/")
    assert len(weights.checksum) == 64
    owner, repository, resolve, commit, filename = weights.address.split("/")[3:]
    assert (resolve, len(commit), filename) == ("resolve", 40, "model.safetensors")
    monkeypatch.setenv("HF_ENDPOINT", weights._replace(revision="").address.rpartition("/")[0])
    folder = server / owner / repository / resolve / commit
    folder.mkdir(parents=True)
    (folder / filename).write_bytes(b"other weights")
    with pytest.raises(ValueError, match=rf"the SHA-256 {weights.checksum[:8]}\.\.\., got"):
        pretrained.download(name)
    monkeypatch.setitem(
        published.WEIGHTS, name, weights._replace(checksum=hashlib.sha256(b"other weights").hexdigest())
    )
    assert pretrained.download(name) == tmp_path / "data" / "weights" / weights.filename
    with pytest.raises(ValueError, match=f"a model of images, got '{name}'"):
        pretrained.prepare_image(weights, "photo.png")


def test_without_a_network_the_error_gives_address_and_folder(server, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"put http://127.0.0.1:\d+/resnet18-f37072fd.pth into .*weights"):
        pretrained.download("resnet18")
    assert not list(tmp_path.glob("data/weights/*"))


def test_modules_of_a_file_are_renamed():
    fields = {"hidden_sizes": (3, 2), "widths": (2, 2, 2, 2, 2), "num_classes": 4}
    written = entries(**fields)
    theirs = {name.replace("classifier.6", "head"): array for name, array in written.items()}
    found = pretrained.load("alexnet", theirs, rename={"head": "classifier.6"}, **fields)
    jax.tree.map(np.testing.assert_array_equal, found, pretrained.load("alexnet", written, **fields))
    with pytest.raises(ValueError, match="begin with 'linear'"):
        pretrained.load("alexnet", theirs, rename={"linear": "fc"}, **fields)


def test_predict_names_five_classes(tmp_path, capsys):
    pillow = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    pillow.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "photo.png")
    model = models.create("resnet18")
    variables = draw(model.init, jax.random.key(0), np.zeros((1, 224, 224, 3), np.float32))
    pretrained.save(tmp_path / "weights.safetensors", pretrained.export("resnet18", variables))
    arguments = ["predict", "resnet18", "--weights", str(tmp_path / "weights.safetensors"), str(tmp_path / "photo.png")]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    x = pretrained.prepare_image(pretrained.find_published("resnet18"), tmp_path / "photo.png")
    best = int(np.argmax(jax.jit(model.apply)(variables, x[None])))
    assert lines[1].split("  ")[-1] == pretrained.class_names()[best]
    assert main(["predict", "resnet18", "--weights", "none.pth", str(tmp_path / "photo.png")]) == 2
    assert main(["predict", "resnet19", "photo.png"]) == 2
    assert "'resnet18'" in capsys.readouterr().err
