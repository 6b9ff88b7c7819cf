"""Generated images: the command that draws them from a run, pictures during training, baselines and settings."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.generative import diffusion, flow
from experiments.harness import catalogue
from experiments.harness.command_line import main
from experiments.harness.commands.sampling import draw_grid
from experiments.harness.configuration import as_dict, from_dict
from experiments.harness.generative import generation
from experiments.harness.supervised import Classification, Optimizer
from jaxdl import train
from tests.variables import draw


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Make the folder of a smoke run whose weights were drawn."""
    folder = tmp_path_factory.mktemp("runs") / "flow"
    folder.mkdir()
    config = flow.Config(hidden_size=6)
    model = flow.make_model(config.smoke())
    variables = draw(model.init, jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))
    train.weights.save(folder / "weights.safetensors", variables)
    written = {"experiment": "flow", "smoke": True, **as_dict(config)}
    (folder / "config.json").write_text(json.dumps(written))
    manifest = {"experiment": "flow", "status": "finished", "smoke": True, "result": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_command_draws_as_many_images_as_asked_and_the_same_for_a_seed(finished, capsys):
    pictures = []
    for seed in ("0", "0", "1"):
        assert main(["sample", str(finished), "--count", "12", "--seed", seed]) == 0
        pictures.append(np.asarray(Image.open(finished / "samples.png")))
    assert "12 images: " in capsys.readouterr().out
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert np.any(pictures[0] != pictures[2])


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ([], "expected the path of a run folder"),
        (["RUN", "--cuont", "3"], "got '--cuont 3'"),
        (["RUN", "--count", "0"], "--count: expected an integer >= 1, got '0'"),
        (["RUN", "--seed", "x"], "--seed: expected an integer >= 0, got 'x'"),
        (["nowhere"], "got nowhere"),
    ],
)
def test_invalid_arguments_are_one_line(arguments, got, finished, capsys):
    assert main(["sample", *(str(finished) if each == "RUN" else each for each in arguments)]) == 2
    error = capsys.readouterr().err
    assert got in error
    assert error.count("\n") == 1


def test_a_run_without_samples_or_weights_is_an_error(tmp_path, capsys):
    for name, got in (("xor", "got xor; choose from"), ("flow", "no weights.safetensors")):
        (tmp_path / "manifest.json").write_text(json.dumps({"experiment": name, "status": "running", "result": {}}))
        assert main(["sample", str(tmp_path)]) == 2
        assert got in capsys.readouterr().err


@pytest.mark.parametrize(
    "config",
    [
        diffusion.Config(widths=(8, 12), guidance=2.5),
        Classification(seed=3, optimizer=Optimizer(learning_rate=0.5), label_smoothing=0.1),
    ],
)
def test_a_configuration_survives_its_file(config):
    written = {**json.loads(json.dumps(as_dict(config))), "experiment": "x"}
    assert from_dict(type(config)(), written) == config


def test_experiments_with_samples_are_known():
    for name in ("pixel_cnn", "flow", "diffusion"):
        assert catalogue.load(name).make_sampler is not None
    assert catalogue.load("xor").make_sampler is None


def test_the_baseline_of_independent_pixels_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    parts = [{"image": rng.integers(0, 3, (n, 2, 2, 1)) // 2 + rng.integers(0, 2, (n, 1, 1, 1))} for n in (9, 4)]
    bits = []
    for image in parts[1]["image"]:
        for i in range(2):
            for j in range(2):
                count = np.sum(parts[0]["image"][:, i, j, 0] == image[i, j, 0]) + 0.5
                bits.append(-np.log2(count / (9 + 0.5 * 3)))
    found = generation.independent_bits(generation.Images(*parts), 3)
    np.testing.assert_allclose(found, np.mean(bits), rtol=1e-12)


def test_pictures_are_drawn_after_round_numbers_of_epochs_and_survive_a_resumption(tmp_path):
    def sample(variables, key):
        return np.full((generation.IN_PROGRESS, 2, 2, 1), variables)

    for epochs in (range(1, 7), range(7, 13)):
        hook = generation.Progress(tmp_path / "progress", sample)
        for epoch in epochs:
            hook(SimpleNamespace(epoch=epoch, evaluation={}, state=SimpleNamespace(variables=epoch / 20)))
        hook(SimpleNamespace(epoch=10.4, evaluation=None, state=SimpleNamespace(variables=1.0)))
    hook.save(12, 0.6)
    assert sorted(float(path.stem) for path in hook.folder.glob("*.npy")) == [1, 2, 5, 10, 12]
    assert len(hook.draw().axes) == 5 * generation.IN_PROGRESS


@pytest.mark.parametrize("count", [1, 7, 23])
def test_a_grid_shows_every_image_once(count):
    images = np.arange(1, count + 1).reshape(-1, 1, 1, 1) * np.full((1, 3, 2, 1), 1 / 32)
    picture = draw_grid(images).axes[0].images[0].get_array()
    numbers, counts = np.unique(np.round(np.asarray(picture) * 32), return_counts=True)
    assert [n for n in numbers if n < 32] == list(range(1, count + 1))
    assert set(counts[numbers < 32]) == {6}


@pytest.mark.parametrize(
    ("name", "flags", "got"),
    [
        ("diffusion", ["--widths", "6"], "--widths: expected multiples of 4, got (6,)"),
        ("diffusion", ["--sampling-steps", "500"], "--sampling-steps: expected at most --num-steps 200, got 500"),
        ("diffusion", ["--widths", "4", "4", "4", "4", "4"], "--widths: expected at most 4 scales"),
        ("flow", ["--temperature", "0"], "--temperature: expected > 0, got 0.0"),
        ("pixel_cnn", ["--levels", "1"], "--levels: expected >= 2, got 1"),
    ],
)
def test_invalid_settings_are_rejected(name, flags, got, tmp_path, capsys):
    assert main(["run", name, "--out", str(tmp_path / "run"), *flags]) == 2
    assert got in capsys.readouterr().err
