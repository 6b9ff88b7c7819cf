"""Weights by name: the round trip is the identity, and whatever does not fit is named on both sides."""

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import models, pretrained, tree
from jaxdl.models.vision.alexnet import AlexNet
from jaxdl.models.vision.vgg import VGG
from jaxdl.pretrained import Rule, layouts, rules
from tests.models.parity import assert_parity
from tests.peers import torch

SMALL = {"num_classes": 5, "widths": (3, 4, 5, 4, 3), "hidden_sizes": (7, 6)}


@pytest.fixture(scope="module")
def entries():
    """The entries of torchvision for a small AlexNet."""
    random = np.random.RandomState(0)
    forms = tree.flatten(pretrained.template(AlexNet(**SMALL), (224, 224, 3)))
    leaves = {path: random.standard_normal(leaf.shape).astype(np.float32) for path, leaf in forms.items()}
    return rules.to_theirs(leaves, pretrained.rules_of(AlexNet(), "torchvision"))


def test_what_was_loaded_is_exported_bit_by_bit(entries, tmp_path):
    pretrained.save(tmp_path / "a.safetensors", entries)
    variables = pretrained.load("alexnet", tmp_path / "a.safetensors", **SMALL)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        jnp.shape, pretrained.template(AlexNet(**SMALL), (224, 224, 3))
    )
    again = pretrained.export("alexnet", variables, **SMALL)
    assert again.keys() == entries.keys()
    for name, array in again.items():
        np.testing.assert_array_equal(array, entries[name])
        assert array.flags.c_contiguous
    logits = jax.eval_shape(AlexNet(**SMALL).apply, variables, jnp.zeros((1, 64, 64, 3)))
    assert logits.shape == (1, 5)


def test_everything_that_does_not_fit_is_named_on_both_sides(entries):
    wrong = dict(entries)
    del wrong["features.0.bias"], wrong["classifier.4.weight"]
    wrong["head.weight"] = np.zeros((2, 2), np.float32)
    wrong["classifier.6.bias"] = np.zeros(1000, np.float32)
    wrong["features.3.weight"] = wrong["features.3.weight"].astype(np.int32)
    wrong["classifier.1.weight"] = np.zeros((7, 10), np.float32)
    with pytest.raises(ValueError) as caught:
        pretrained.load("alexnet", wrong, **SMALL)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[0] == "6 weights do not fit the model:"
    assert set(lines[1:-1]) == {
        "missing: features.0.bias, for params/conv1/bias [3]",
        "missing: classifier.4.weight, for params/dense2/kernel [7, 6]",
        "extra: head.weight [2, 2] has no place in the model",
        "misshaped: classifier.6.bias [1000], for params/output/bias [5]",
        "misshaped: classifier.1.weight [7, 10], for params/dense1/kernel [108, 7]",
        "no floating-point numbers: features.3.weight [4, 3, 5, 5], for params/conv2/kernel",
    }
    assert "fresh='^output/' and a key" in lines[-1]


@pytest.mark.parametrize("wrapped", ["module.", "model.module."])
def test_names_with_the_same_words_before_them_say_what_to_give(entries, wrapped):
    theirs = {wrapped + name: array for name, array in entries.items()} | {"criterion.weight": np.ones(5, np.float32)}
    with pytest.raises(ValueError, match=f"16 of 16 names have '{wrapped}' before them: give prefix='{wrapped}'"):
        pretrained.load("alexnet", theirs, **SMALL)
    loaded = pretrained.load("alexnet", theirs, prefix=wrapped, **SMALL)
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded, pretrained.load("alexnet", entries, **SMALL)))


def test_names_without_the_words_before_ours_say_what_to_give(entries):
    theirs = {name.removeprefix("features."): array for name, array in entries.items()}
    with pytest.raises(ValueError, match=r"10 of 16 names, .* are there without 'features\.' .*'features\.' \+ name"):
        pretrained.load("alexnet", theirs, **SMALL)


def test_parameters_alone_are_not_variables(entries):
    params = pretrained.load("alexnet", entries, **SMALL)["params"]
    with pytest.raises(ValueError, match=r"expected variables, .* got conv1, conv2"):
        pretrained.export("alexnet", params, **SMALL)


def test_a_head_of_another_size_is_drawn_anew(entries, key):
    changes = SMALL | {"num_classes": 9}
    with pytest.raises(ValueError, match=r"misshaped: classifier.6.weight \[5, 6\], for params/output/kernel \[6, 9\]"):
        pretrained.load("alexnet", entries, **changes)
    old = pretrained.load("alexnet", entries, **SMALL)["params"]
    new = pretrained.load("alexnet", entries, fresh="^output/", key=key, **changes)["params"]
    assert new["output"]["kernel"].shape == (6, 9)
    assert np.std(new["output"]["kernel"]) > 0
    for name in old.keys() - {"output"}:
        np.testing.assert_array_equal(new[name]["kernel"], old[name]["kernel"])
    for fresh, key_ in (("^output/", None), (None, key)):
        with pytest.raises(ValueError, match="fresh and key together"):
            pretrained.load("alexnet", entries, fresh=fresh, key=key_, **changes)
    with pytest.raises(ValueError, match="fresh='head' is found in no path of the model"):
        pretrained.load("alexnet", entries, fresh="head", key=key, **changes)


def test_parts_that_a_file_does_not_have_are_left_out(entries):
    stack = {name: array for name, array in entries.items() if name.startswith("features")}
    variables = pretrained.load("alexnet", stack, without="^(dense|output)", **SMALL)
    assert sorted(variables["params"]) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    again = pretrained.load("alexnet", entries, **SMALL | {"num_classes": None})
    assert jax.tree.all(jax.tree.map(np.array_equal, again, variables))


def test_a_model_without_classes_passes_over_the_heads_of_a_file(entries):
    whole = pretrained.load("alexnet", entries, **SMALL)
    backbone = pretrained.load("alexnet", entries, **SMALL | {"num_classes": 0})
    del whole["params"]["output"]
    jax.tree.map(np.testing.assert_array_equal, backbone, whole)
    for name in ("googlenet", "inception_v3"):
        full, table = (pretrained.rules_of(models.create(name, num_classes=n), "torchvision") for n in (9, 0))
        theirs = [rule.theirs.replace(r"\1", "2") + ".weight" for rule in full if "auxiliary" in rule.ours]
        skipped = [rule.theirs for rule in table if rule.layout.ignored]
        assert theirs
        assert all(any(re.fullmatch(pattern, entry) for pattern in skipped) for entry in [*theirs, "fc.weight"])


def test_narrow_numbers_become_those_of_the_parameters(entries):
    library = torch()
    for dtype in (np.float16, jnp.bfloat16, np.float64):
        narrow = {name: array.astype(dtype) for name, array in entries.items()}
        loaded = tree.flatten(pretrained.load("alexnet", narrow, **SMALL))
        assert {leaf.dtype for leaf in loaded.values()} == {jnp.dtype(jnp.float32)}
        np.testing.assert_array_equal(loaded["params/conv1/bias"], narrow["features.0.bias"].astype(np.float32))
    tensors = {name: library.tensor(array).bfloat16() for name, array in entries.items()}
    bias = pretrained.load("alexnet", tensors, **SMALL)["params"]["conv1"]["bias"]
    np.testing.assert_array_equal(bias, tensors["features.0.bias"].float().numpy())


@pytest.mark.parametrize(("name", "model"), [("alexnet", AlexNet(None)), ("vgg16", VGG(None))])
def test_the_convolutions_of_lpips_are_loaded(name, model, tmp_path):
    kind, widths = {"alexnet": ("AlexNet_0", (3, 4, 5, 4, 3)), "vgg16": ("VGG16_0", (1, 2, 3, 4, 5))}[name]
    model = model.clone(widths=widths)
    forms = pretrained.template(model, (224, 224, 3))["params"]
    random = np.random.RandomState(0)
    layers = [
        jax.tree.map(lambda leaf: random.standard_normal(leaf.shape).astype(np.float32), forms[layer])
        for layer in sorted(forms)
    ]
    file = {kind: {f"Conv_{i}": layer for i, layer in enumerate(layers)}}
    file |= {f"NetLinLayer_{i}": {"Conv_0": {"kernel": np.ones((1, 1, 3, 1), np.float32)}} for i in range(5)}
    (tmp_path / "weights.ckpt").write_bytes(pickle.dumps(file, protocol=3))
    loaded = pretrained.load(name, tmp_path / "weights.ckpt", "lpips", num_classes=None, widths=widths)
    for layer, expected in zip(sorted(forms), layers, strict=True):
        np.testing.assert_array_equal(loaded["params"][layer]["kernel"], expected["kernel"])
        np.testing.assert_array_equal(loaded["params"][layer]["bias"], expected["bias"])
    with pytest.raises(ValueError, match=r"missing: absent.dense1.weight"):
        pretrained.load(name, tmp_path / "weights.ckpt", "lpips", widths=widths)


def test_a_model_or_a_source_without_names_is_refused():
    with pytest.raises(ValueError, match="got LeNet5"):
        pretrained.load("lenet5", {})
    with pytest.raises(ValueError, match=r"AlexNet in \['lpips', 'torchvision'\], got 'keras'"):
        pretrained.load("alexnet", {}, "keras")


class Attention(linen.Module):
    """Fused on neither side, or on ours."""

    fused: bool

    @linen.compact
    def __call__(self, x, train=False, return_intermediates=False):
        if self.fused:
            q, k, v = jnp.split(linen.Dense(12, name="qkv")(x), 3, axis=-1)
        else:
            q, k, v = (linen.Dense(4, name=name)(x) for name in ("query", "key", "value"))
        y = jax.nn.softmax(q @ jnp.swapaxes(k, -1, -2)) @ v
        y = y * self.param("gain", linen.initializers.ones, (4,))[None, None]
        logits = jnp.mean(y, axis=1)
        return (logits, {}) if return_intermediates else logits


def peer_attention(fused):
    library = torch()

    class Peer(library.nn.Module):
        def __init__(self):
            super().__init__()
            if fused:
                self.qkv = library.nn.Linear(4, 12)
            else:
                self.q, self.k, self.v = (library.nn.Linear(4, 4) for _ in range(3))
            self.gain = library.nn.Parameter(library.ones(1, 1, 4))
            self.register_buffer("index", library.zeros(3))

        def forward(self, x):
            x = x.movedim(1, -1)
            q, k, v = self.qkv(x).chunk(3, -1) if fused else (self.q(x), self.k(x), self.v(x))
            return ((q @ k.mT).softmax(-1) @ v * self.gain).mean(1)

    return Peer()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.usefixtures("float64")
def test_queries_keys_and_values_are_split_and_merged(fused):
    """Where theirs is fused ours is not, and the other way round."""
    gain = Rule("gain", "gain", layouts.parameter(lambda a: a[0, 0], lambda a: a[None, None]))
    index = Rule("", "index", layouts.ignored)
    if fused:
        table = [Rule("qkv", "{}", layouts.merged("q", "k", "v")), gain, index]
    else:
        parts = [Rule(name, "qkv", layouts.part(i, 3)) for i, name in enumerate(("query", "key", "value"))]
        table = [*parts, gain, index]
    x = np.random.RandomState(0).standard_normal((2, 6, 4))
    assert_parity(Attention(fused), peer_attention(not fused), table, x)


@pytest.mark.usefixtures("float64")
def test_the_comparison_notices_parts_in_another_order():
    names = ("query", "value", "key")
    table = [Rule(name, "qkv", layouts.part(i, 3)) for i, name in enumerate(names)]
    table += [Rule("gain", "gain", layouts.parameter(lambda a: a[0, 0], lambda a: a[None, None]))]
    x = np.random.RandomState(0).standard_normal((2, 6, 4))
    with pytest.raises(AssertionError, match="logits"):
        assert_parity(Attention(False), peer_attention(True), [*table, Rule("", "index", layouts.ignored)], x)


def test_parts_of_a_fused_entry_must_all_be_there():
    table = [Rule(name, "qkv", layouts.part(i, 3)) for i, name in enumerate(("query", "key", "value"))]
    with pytest.raises(ValueError, match=r"qkv.weight has 2 of 3 parts"):
        pretrained.to_theirs({f"params/{name}/kernel": np.zeros((2, 2)) for name in ("query", "value")}, table)


def test_a_table_that_is_not_one_to_one_is_refused():
    with pytest.raises(ValueError) as caught:
        rules.places(["params/a/kernel", "params/b/kernel", "params/c/bias"], [Rule("[ab]", "same")])
    assert "no rule names params/c/bias" in str(caught.value)
    assert "params/a/kernel and params/b/kernel both claim same.weight" in str(caught.value)


def test_batch_norms_have_their_counters_made_and_passed_over():
    table = [Rule("norm", "bn")]
    leaves = {"params/norm/scale": np.ones(2), "batch_stats/norm/mean": np.zeros(2), "batch_stats/norm/var": np.ones(2)}
    made = pretrained.to_theirs(leaves, table)
    assert sorted(made) == ["bn.num_batches_tracked", "bn.running_mean", "bn.running_var", "bn.weight"]
    assert made["bn.num_batches_tracked"].dtype == np.int64
    like = pretrained.loading.nested({path: jax.ShapeDtypeStruct(a.shape, jnp.float32) for path, a in leaves.items()})
    again = pretrained.convert(made, like, table)
    assert tree.flatten(again).keys() == leaves.keys()


def test_the_registry_knows_the_family_of_every_file_of_names():
    for name in ("alexnet", "alexnet_grouped", "vgg11_bn"):
        assert pretrained.rules_of(models.create(name), "torchvision")
