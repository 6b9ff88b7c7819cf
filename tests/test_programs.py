"""The programs of the documentation run at a tiny size, and are as long as their page says."""

import ast
import re
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained
from tests.variables import draw

DOCS = Path(__file__).parents[1] / "docs"
LARGEST = 1.2
"""The share of the peer's lines that a program should have at most."""
LONGER = {"Fine-tune BERT"}
"""Programs that have more."""
SMALLER = {
    "Characters with a GPT": {
        "len(text) // 64), batch_size=64": "20), batch_size=4",
        '"gpt_tiny",': '"gpt_tiny", d_model=8, num_layers=1, num_heads=1,',
        "max_length=100": "max_length=3",
    },
    "A ResNet for CIFAR-10": {
        '"cifar10"': '"digits", size=32',
        '"resnet20"': '"resnet20", depths=(1,), widths=(2,)',
        "10 * loader": "1 * loader",
        "epochs=10": "steps=1",
    },
    "DCGAN": {"(64, 32))\ngame": "(2, 2))\ngame", "((32, 64))": "((2, 2))", "epochs=60": "steps=1"},
    "A variational autoencoder": {"epochs=30": "steps=1", "(64,), latent": "(8,), latent"},
    "A cell of your own on eight devices": {"1024, 20": "64, 3", "Leaky(32)": "Leaky(2)", "epochs=20": "steps=1"},
    "Captions of images": {"epochs=10": "steps=1", "max_length=20": "max_length=2", "batch_size=32": "batch_size=2"},
    "Fine-tune BERT": {
        "0.1)": "2)",
        "batch_size=32": "batch_size=4",
        "epochs=3": "steps=1",
        "^output": "^output|^pool",
    },
    "A sweep of learning rates": {"epochs=5": "steps=2"},
    "Saliency of a photograph": {},
    "Data from a stream": {"steps=1000": "steps=2"},
    "A module of equinox": {"epochs=5": "steps=2"},
}
"""What the test replaces in each program."""


def programs(page):
    found = re.findall(r"^## (.*?)$.*?^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    return dict(found)


def count(program):
    return sum(1 for line in program.splitlines() if line.strip() and not line.strip().startswith("#"))


def test_the_table_has_the_lengths_of_both_programs():
    rows = re.findall(r"^\| (.*?) \| (\d+) \| (.*?) \| (\d+) \|$", (DOCS / "programs.md").read_text(), re.M)
    ours, theirs = programs("programs.md"), programs("programs_peers.md")
    assert [row[0] for row in rows] == list(ours) == list(theirs) == list(SMALLER)
    assert {name: (int(own), int(peer)) for name, own, _, peer in rows} == {
        name: (count(ours[name]), count(theirs[name])) for name in ours
    }
    assert {name for name in ours if count(ours[name]) > LARGEST * count(theirs[name])} == LONGER
    for name, peer in theirs.items():
        ast.parse(peer, name)


@pytest.mark.parametrize("name", SMALLER)
def test_a_program_runs(name, tmp_path, monkeypatch):
    program = programs("programs.md")[name]
    for whole, part in SMALLER[name].items():
        assert whole in program
        program = program.replace(whole, part)
    monkeypatch.chdir(tmp_path)
    PREPARED.get(name, lambda folder, patch: None)(tmp_path, monkeypatch)
    names = {"__name__": "program"}
    exec(compile(program, name, "exec"), names)
    if "history" in names:
        assert np.isfinite(names["history"][-1]["train/loss" if name != "DCGAN" else "train/generator_loss"]).all()
    else:
        assert (tmp_path / "saliency.png").stat().st_size > 1000


def write_text(folder, patch):
    (folder / "input.txt").write_text("to be or not to be, " * 20)


def write_parts(folder, patch):
    (folder / "parts").mkdir()
    for part in range(2):
        image = np.random.default_rng(part).normal(size=(70, 32, 32, 1)).astype(np.float32)
        np.savez(folder / "parts" / f"{part}.npz", image=image, label=np.arange(70) % 10)


def write_photos(folder, patch):
    """Write pictures, and let published weights be those of a small network."""
    pillow = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    for number in range(2):
        pillow.fromarray(np.full((40, 40, 3), 100 * number, np.uint8)).save(folder / f"{number}.png")
    (folder / "0.png").rename(folder / "photo.jpg")  # recognized by its content
    (folder / "captions.tsv").write_text("photo.jpg\ta black square\n1.png\ta grey square\n")
    small = pretrained.find_published("resnet50")._replace(resized=32, cropped=32)

    def load(name, **fields):
        model = models.create("resnet18", depths=(1, 1, 1, 1), widths=(2, 2, 2, 2), **fields)
        return model, draw(model.init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))

    patch.setattr(pretrained, "find_published", lambda name: small)
    patch.setattr(pretrained, "load", load)
    patch.setattr(models, "Captioner", partial(models.Captioner, embedding_dim=4))
    pytest.importorskip("matplotlib", reason="matplotlib is not installed").use("Agg")


def write_bert(folder, patch):
    """Write a tiny BERT with a tokenizer of words, and reviews."""
    library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = ["[PAD]", "[UNK]", "a", "good", "bad", "film"]
    tokenizer = library.Tokenizer(library.models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = library.pre_tokenizers.Whitespace()
    place = folder / "bert-base-uncased"
    place.mkdir()
    tokenizer.save(str(place / "tokenizer.json"))
    fields = {"vocab_size": 6, "context_length": 512, "d_model": 8, "num_layers": 1, "num_heads": 1, "mlp_dim": 8}
    model = models.create("bert_base", head="masked_language_model", **fields)
    variables = draw(model.init, jax.random.key(0), np.zeros((1, 3), np.int32))
    entries = pretrained.export("bert_base", variables, "huggingface", head="masked_language_model", **fields)
    pretrained.save(place / "model.safetensors", entries)
    (place / "config.json").write_text(
        '{"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 6, "hidden_size": 8, '
        '"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}'
    )
    lines = [f"{n % 2}\t{'a good film' if n % 2 else 'bad'}" for n in range(8)]
    (folder / "reviews.tsv").write_text("\n".join(lines))


def need_equinox(folder, patch):
    pytest.importorskip("equinox", reason="equinox is not installed")


PREPARED = {
    "Characters with a GPT": write_text,
    "Captions of images": write_photos,
    "Fine-tune BERT": write_bert,
    "Saliency of a photograph": write_photos,
    "Data from a stream": write_parts,
    "A module of equinox": need_equinox,
}
"""What each program reads, written by ``function(folder, monkeypatch)``."""
