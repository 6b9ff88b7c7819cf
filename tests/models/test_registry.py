"""Laws for every registered model, and errors for unknown names and fields."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import models, tree
from jaxdl.models import registry
from tests.models.registered import DEFAULTS, REGISTERED
from tests.variables import draw

# Parameters, auxiliary heads included.
PARAMETERS = {
    "alexnet": 61_100_840,
    "alexnet_grouped": 60_965_224,
    "bert_base": 109_482_240,
    "bert_large": 335_141_888,
    "cyclegan_discriminator": 2_764_737,
    "cyclegan_generator": 11_378_179,
    "dcgan_discriminator": 2_765_568,
    "dcgan_generator": 3_576_704,
    "deeplabv3_resnet50": 42_004_074,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "densenet_bc_100_12": 769_162,
    "diffusion_unet": 5_459_107,
    "fcos_resnet50_fpn": 32_322_720,
    "fcn_resnet50": 35_322_218,
    "googlenet": 13_004_888,
    "googlenet_original": 13_378_280,
    "gpt2": 124_439_808,
    "gpt2_large": 774_030_080,
    "gpt2_medium": 354_823_168,
    "gpt2_xl": 1_557_611_200,
    "gpt_tiny": 842_496,
    "inception_resnet_v2": 55_843_464,
    "inception_v2": 11_188_288,
    "inception_v3": 27_161_264,
    "lenet5": 61_706,
    "lenet5_original": 60_000,
    "llama2_7b": 6_738_415_616,
    "llama_tiny": 820_352,
    "mlp": 8_970,
    "pix2pix_discriminator": 2_768_705,
    "pix2pix_generator": 54_413_955,
    "pixel_cnn": 562_560,
    "realnvp": 2_675_996,
    "resnet101": 44_549_160,
    "resnet110": 1_727_962,
    "resnet152": 60_192_808,
    "resnet18": 11_689_512,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet34": 21_797_672,
    "resnet44": 658_586,
    "resnet50": 25_557_032,
    "resnet56": 853_018,
    "smollm2_135m": 134_515_008,
    "unet": 31_030_658,
    "vae": 652_824,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg16_c": 133_638_952,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "vit_b16": 86_567_656,
    "vit_b32": 88_224_232,
    "vit_l16": 304_326_632,
    "wavenet": 275_360,
    "xception": 22_855_952,
    "zfnet": 62_357_608,
    "zfnet_large": 107_627_624,
}
# Size of the outputs of models with an output for each position of a sequence, or for each pixel without classes.
OUTPUTS = {"vae": 1, "wavenet": 256, "bert_base": 768, "bert_large": 1024, "gpt_tiny": 256}
OUTPUTS |= dict.fromkeys(("cyclegan_discriminator", "dcgan_discriminator", "pix2pix_discriminator"), 1)
OUTPUTS |= dict.fromkeys(("cyclegan_generator", "dcgan_generator", "pix2pix_generator"), 3)
OUTPUTS |= {"diffusion_unet": 3, "pixel_cnn": 256, "realnvp": 3}
OUTPUTS |= dict.fromkeys(("gpt2", "gpt2_medium", "gpt2_large", "gpt2_xl"), 50_257)
OUTPUTS |= {"llama2_7b": 32_000, "llama_tiny": 256, "smollm2_135m": 49_152}
# Prefixes of the names of deep models of equal blocks.
SCANNED = ("bert", "gpt2", "llama", "resnet", "smollm2", "vit")
# Height and width of the outputs of models with one at each pixel.
DENSE = {
    "unet": (388, 388),
    "fcn_resnet50": (520, 520),
    "deeplabv3_resnet50": (520, 520),
    "fcos_resnet50_fpn": (100, 100),
    "vae": (28, 28),
    "cyclegan_discriminator": (30, 30),
    "cyclegan_generator": (256, 256),
    "dcgan_discriminator": (),
    "dcgan_generator": (64, 64),
    "pix2pix_discriminator": (30, 30),
    "pix2pix_generator": (256, 256),
    "diffusion_unet": (32, 32),
    "realnvp": (32, 32),
}
# Models with predictions at every level of a pyramid; the finest counts.
DETECTORS = ("fcos_resnet50_fpn",)
# Parameters without the auxiliary heads.
WITHOUT_AUXILIARY = {"googlenet": 6_624_904, "googlenet_original": 6_998_552, "inception_v3": 23_834_568}
WITHOUT_AUXILIARY |= {"fcn_resnet50": 32_957_013, "deeplabv3_resnet50": 39_638_869}

# Models small enough to run: input shape, names of the intermediates.
SMALL = {
    "mlp": ((2, 28, 28, 1), ["hidden1", "hidden2"]),
    "lenet5": ((2, 28, 28, 1), ["conv1", "pool1", "conv2", "pool2", "dense1", "dense2"]),
    "lenet5_original": ((2, 28, 28, 1), ["c1", "s2", "c3", "s4", "c5", "f6"]),
}
# One classifier of each family, with fewer layers.
HEADLESS = {
    "alexnet": {},
    "densenet_bc_100_12": {"depths": (1, 1, 1)},
    "googlenet": {"modules": ("inception4a", "inception4d")},
    "inception_resnet_v2": {"depths": (1, 1, 1)},
    "inception_v2": {},
    "inception_v3": {"modules": ("mixed6a", "mixed6e")},
    "lenet5": {},
    "lenet5_original": {},
    "mlp": {},
    "resnet18": {"depths": (1, 1), "widths": (4, 4)},
    "vgg11": {},
    "vit_b32": {"num_layers": 1},
    "xception": {"middle_blocks": 1},
    "zfnet": {},
}


def test_every_model_is_in_the_tables():
    assert models.list() == tuple(sorted(PARAMETERS)) == tuple(sorted(REGISTERED))


@pytest.mark.parametrize("name", REGISTERED)
def test_a_name_keeps_its_family_inputs_and_fields(name):
    family, shape, dtype, fields = REGISTERED[name]
    assert models.create(name) == family(**fields)
    assert (models.input_shape(name), models.input_dtype(name)) == (shape, dtype)
    assert models.description(name)


@pytest.mark.parametrize("family", DEFAULTS)
def test_a_family_keeps_its_fields_and_their_defaults(family):
    fields = {field.name: field.default for field in dataclasses.fields(family) if field.name not in {"parent", "name"}}
    assert fields == DEFAULTS[family]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_input_shapes_and_dtypes(name):
    # Scanned, the blocks of the deepest are traced once: the parameters are as many.
    model = models.create(name, **({"scan_blocks": True} if name.startswith(SCANNED) else {}))
    x = jax.ShapeDtypeStruct((2, *models.input_shape(name)), models.input_dtype(name))

    def build(key, x):
        return model.clone(dtype=jnp.bfloat16).init_with_output({"params": key, "dropout": key}, x, train=True)

    logits, variables = jax.eval_shape(build, jax.random.key(0), x)
    logits = logits.logits[0] if name in DETECTORS else logits
    logits = logits[0] if name == "realnvp" else logits  # beside the determinant
    steps = DENSE[name] if name in DENSE else x.shape[1:] if name in OUTPUTS else ()
    assert logits.shape == (2, *steps, OUTPUTS.get(name, getattr(model, "num_classes", None)))
    assert tree.size(variables["params"]) == PARAMETERS[name]
    auxiliary = {part: leaves for part, leaves in variables["params"].items() if part.startswith("auxiliary")}
    alone = PARAMETERS[name] - tree.size(auxiliary)
    assert alone == WITHOUT_AUXILIARY.get(name, PARAMETERS[name])
    assert logits.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", HEADLESS)
def test_without_classes_the_vector_before_the_output_layer_is_the_result(name):
    model = models.create(name, **HEADLESS[name])
    backbone = model.clone(num_classes=0)
    x = jax.ShapeDtypeStruct((2, *models.input_shape(name)), models.input_dtype(name))

    def build(model, x, train):
        key = jax.random.key(0)
        return model.init_with_output({"params": key, "dropout": key}, x, train=train)

    vector, variables = jax.eval_shape(lambda x: build(backbone, x, True), x)
    _, whole = jax.eval_shape(lambda x: build(model, x, False), x)
    output = whole["params"].pop("output", None)
    assert vector.shape == (2, 84 if output is None else output["kernel"].shape[0])
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, whole)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_model_runs_forward_and_backward(name, key):
    shape, names = SMALL[name]
    model = models.create(name)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    variables = draw(model.init, key, x)
    assert set(variables) == {"params"}

    @jax.jit
    def run(params, x):
        def loss(params):
            logits, features = model.apply({"params": params}, x, train=True, return_intermediates=True)
            return jnp.sum(jax.nn.log_softmax(logits)[:, 0]), (logits, features, model.apply({"params": params}, x))

        return jax.grad(loss, has_aux=True)(params)

    gradient, (logits, features, alone) = run(variables["params"], x)
    assert logits.shape == (shape[0], 10)
    np.testing.assert_allclose(alone, logits, rtol=1e-5, atol=1e-5)
    assert list(features) == sorted(names)
    assert all(feature.shape[0] == shape[0] and np.isfinite(feature).all() for feature in features.values())
    for path, leaf in tree.flatten(jax.device_get(gradient)).items():
        assert np.isfinite(leaf).all(), path
        assert np.any(leaf != 0), path


def test_names_are_found_by_a_shell_pattern():
    assert models.list("lenet*") == ("lenet5", "lenet5_original")
    assert models.list("no such*") == ()


def test_changes_reach_the_fields():
    assert models.create("mlp", hidden_sizes=(3,), num_classes=2) == models.MLP(hidden_sizes=(3,), num_classes=2)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lenet", {}, "got 'lenet'; did you mean 'lenet5'"),
        ("qqq", {}, "'lenet5', 'lenet5_original', 'llama2_7b'"),
        ("mlp", {"hiden_sizes": (3,)}, "got 'hiden_sizes'; did you mean 'hidden_sizes'"),
        ("mlp", {"hidden": (3,)}, "got 'hidden'; it is 'hidden_sizes' now"),
        ("vit_b16", {"heads": 3}, "got 'heads'; it is 'num_heads' now"),
        ("alexnet", {"dropout": 0.1}, "got 'dropout'; it is 'dropout_rate' now"),
    ],
)
def test_errors_for_unknown_names_and_fields_suggest_the_nearest(name, changes, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **changes)


def test_a_name_is_registered_once(monkeypatch):
    monkeypatch.setattr(registry, "_ENTRIES", {})
    models.register("tiny", linen.Dense, input_shape=(5,), description="A small layer", features=2)
    assert models.input_shape("tiny") == (5,)
    assert models.input_dtype("tiny") == "float32"
    assert models.description("tiny") == "A small layer"
    assert models.create("tiny") == linen.Dense(2)
    assert models.create("tiny", features=3) == linen.Dense(3)
    with pytest.raises(ValueError, match="got 'tiny'"):
        models.register("tiny", linen.Dense, input_shape=(5,), features=2)


def test_a_function_is_registered_as_a_family(monkeypatch):
    monkeypatch.setattr(registry, "_ENTRIES", {})
    models.register("tiny", lambda width: linen.Dense(features=width), input_shape=(5,), width=2)
    assert models.create("tiny", use_bias=False) == linen.Dense(2, use_bias=False)


def test_the_shape_of_an_unknown_model_is_not_known():
    with pytest.raises(ValueError, match="did you mean 'lenet5'"):
        models.input_shape("lenet")
