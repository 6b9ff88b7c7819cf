"""A law of the registry: the training step of every model has a program for every platform."""

from functools import partial

import jax
import pytest

from experiments.harness.commands.workloads import workload
from experiments.harness.errors import UsageError
from jaxdl import models, optim, tree

TRANSFORMER = {"num_layers": 1, "d_model": 32, "num_heads": 2, "mlp_dim": 32}
STAGES = {"depths": (1, 1, 1, 1), "widths": (8, 8, 8, 8)}
# By the beginning of their names: few and narrow layers, of the same kinds.
SMALLEST = {
    "bert": TRANSFORMER,
    "cyclegan": {"num_blocks": 1},
    "deeplabv3": {**STAGES, "rates": (12,)},
    "densenet": {"depths": (1, 1), "growth_rate": 4},
    "diffusion_unet": {"num_blocks": 1, "widths": (32, 32), "attention_scales": (2,)},
    "fcn": STAGES,
    "fcos": {"backbone": models.ResNet(None, **STAGES, block="basic"), "depth": 1},
    "googlenet": {"modules": ("inception4a",), "width": 1 / 16},
    "gpt": TRANSFORMER,
    "inception_resnet_v2": {"depths": (1, 1, 1), "width": 1 / 16},
    "inception_v2": {"modules": ("inception3a", "inception3c"), "width": 1 / 32},
    "inception_v3": {"modules": ("mixed6a", "mixed6e"), "width": 1 / 16},
    "pix2pix": {"widths": (8, 8, 8)},
    "realnvp": {"num_scales": 1, "num_couplings": 1, "num_blocks": 1},
    "resnet": {"depths": (1, 1), "widths": (8, 8), "num_classes": 10},
    "unet": {"widths": (8, 8)},
    "vgg": {"depths": (1, 1, 1, 1, 1)},
    "vit": {**TRANSFORMER, "patch_size": 16},
    "wavenet": {"dilations": (1, 2)},
    "xception": {"middle_blocks": 1, "width": 1 / 16},
    "zfnet": {"widths": (8, 8, 8, 8, 8)},
}


def smallest(name):
    """Return the fields of the smallest model of a name."""
    one_layer = {"num_layers": 1} if hasattr(models.create(name), "num_layers") else {}
    return next((fields for start, fields in SMALLEST.items() if name.startswith(start)), one_layer)


def distinct():
    """List a name for each different smallest model; a discriminator is trained with its generator."""
    names = [name for name in models.list() if not name.endswith("_discriminator")]
    kinds = {(repr(models.create(name, **smallest(name))), models.input_shape(name)): name for name in reversed(names)}
    return sorted(kinds.values())


@pytest.mark.parametrize("name", distinct())
def test_every_training_step_has_a_program_for_every_platform(name):
    length = 16 if models.input_dtype(name) == "int32" and len(models.input_shape(name)) == 1 else None
    work = workload(name, 2, length=length, optimizer=optim.sgd(0.1), **smallest(name))
    lowered = jax.jit(work.step).trace(work.state, work.batch).lower(lowering_platforms=("cpu", "cuda", "tpu"))
    state, metrics = lowered.out_info
    assert tree.size(state.params) == tree.size(work.state.params) > 0
    assert any("loss" in metric for metric in metrics)


def test_a_resnet_for_a_tpu_has_convolutions_and_for_a_cpu_products():
    work = workload("resnet20", 2, depths=(1, 1), widths=(16, 16))
    traced = jax.jit(work.step).trace(work.state, work.batch)
    programs = {name: traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "tpu")}
    count = {name: program.count("stablehlo.convolution") for name, program in programs.items()}
    products = {name: program.count("stablehlo.dot_general") for name, program in programs.items()}
    assert count["tpu"] > count["cpu"]
    assert products["cpu"] > products["tpu"] == 3  # of the output layer: its outputs and two gradients


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet", {}, "got 'lenet'"),
        ("lenet5", {"length": 4}, "got 'lenet5'"),
        ("gpt_tiny", {"layers": 4}, "got 'layers'"),
    ],
)
def test_errors_of_usage(name, options, message):
    with pytest.raises(UsageError, match=message):
        partial(workload, name, 2)(**options)
