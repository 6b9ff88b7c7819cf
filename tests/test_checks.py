"""Checks of arguments, the nearest of known names, and fields that were renamed."""

import dataclasses
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import data, models, nn
from jaxdl.checks import (
    check_decay,
    check_in_range,
    check_indices,
    check_one_of,
    check_positive_integer,
    did_you_mean,
    is_integer,
    is_zero,
    renamed_fields,
)
from jaxdl.models import registry


@renamed_fields(features="num_classes", keep="dropout_rate, the share dropped: 1 - keep")
class Head(linen.Module):
    """A dense layer whose fields were renamed."""

    num_classes: int
    dropout_rate: float = 0.0

    @linen.compact
    def __call__(self, x):
        return linen.Dense(self.num_classes)(x)


class WideHead(Head):
    """A subclass as it is."""

    width: int = 2


@renamed_fields(breadth="width")
class AdvisingHead(WideHead):
    """A subclass that was decorated too."""


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.array([0.0, 1.0])])
def test_a_number_in_the_range_passes(value):
    check_in_range("rate", value, 0.0, 1.0)


def test_schedules_and_traced_arrays_pass_unchecked():
    check_decay("rate", lambda step: 2.0)
    jax.jit(lambda rate: check_decay("rate", rate))(2.0)


@pytest.mark.parametrize(
    ("value", "includes_low", "includes_high", "interval"),
    [
        (-0.5, True, True, r"\[0, 1\]"),
        (0, False, True, r"\(0, 1\]"),
        (1, True, False, r"\[0, 1\)"),
        (float("nan"), True, True, r"\[0, 1\]"),
        (np.array([0.5, 1.5]), True, True, r"\[0, 1\]"),
    ],
)
def test_a_number_outside_of_the_range_is_named(value, includes_low, includes_high, interval):
    with pytest.raises(ValueError, match=rf"rate.*{interval}.*got") as caught:
        check_in_range("rate", value, 0.0, 1.0, includes_low=includes_low, includes_high=includes_high)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize("value", ["0.1", None, [0.1]])
def test_what_is_not_a_number_is_a_type_error(value):
    with pytest.raises(TypeError, match="rate"):
        check_in_range("rate", value)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", None])
def test_only_integers_from_one_on_are_positive_integers(value):
    check_positive_integer("steps", 1)
    check_positive_integer("steps", np.int64(3))
    with pytest.raises(ValueError, match="steps") as caught:
        check_positive_integer("steps", value)
    assert repr(value) in str(caught.value)


def test_a_choice_is_one_of_those_there_are():
    check_one_of("mode", "a", ("a", "b"))
    with pytest.raises(ValueError, match=r"mode.*'a', 'b'.*'c'"):
        check_one_of("mode", "c", ("a", "b"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("lenet6", "did you mean 'lenet5'?"),
        ("resnet19", "did you mean 'resnet18' or 'resnet101'?"),
        ("quux", "choose from 'lenet5', 'resnet101', 'resnet18', 'vgg16'"),
        (None, "choose from 'lenet5', 'resnet101', 'resnet18', 'vgg16'"),
    ],
)
def test_the_two_nearest_names_are_suggested_or_all(name, advice):
    assert did_you_mean(name, iter(["vgg16", "resnet18", "lenet5", "resnet101"])) == advice


@pytest.mark.parametrize(
    ("make", "old", "new"),
    [
        (lambda: Head(features=3), "features", "num_classes"),
        (lambda: Head(3, keep=0.5), "keep", "dropout_rate, the share dropped: 1 - keep"),
        (lambda: AdvisingHead(3, breadth=3), "breadth", "width"),
        (lambda: AdvisingHead(features=3), "features", "num_classes"),
        (lambda: Head(3).clone(keep=0.5), "keep", "dropout_rate, the share dropped: 1 - keep"),
    ],
)
def test_a_field_called_by_its_old_name_is_answered_with_the_new(make, old, new):
    with pytest.raises(TypeError, match=rf"Head has no field '{old}': it is '{new}' now"):
        make()


def test_an_unknown_field_stays_pythons_own_error():
    with pytest.raises(TypeError, match="no_such_field"):
        Head(3, no_such_field=1)


@pytest.mark.parametrize("cls", [Head, WideHead, AdvisingHead])
def test_a_decorated_module_is_the_module_that_it_was(cls, key):
    head = cls(3, dropout_rate=0.5)
    assert cls.__name__ in repr(head)
    assert list(inspect.signature(cls).parameters)[:2] == ["num_classes", "dropout_rate"]
    assert {field.name for field in dataclasses.fields(head)} >= {"num_classes", "dropout_rate", "parent", "name"}
    assert head.clone(dropout_rate=0.25) == cls(num_classes=3, dropout_rate=0.25)
    assert pickle.loads(pickle.dumps(head)) == head
    assert head.init_with_output(key, jnp.ones((2, 4)))[0].shape == (2, 3)


@pytest.mark.parametrize(
    "lift",
    [linen.remat, linen.jit, lambda cls: linen.vmap(cls, variable_axes={"params": 0}, split_rngs={"params": True})],
)
def test_a_decorated_module_can_be_lifted(lift, key):
    lifted = lift(Head)(num_classes=3)
    assert lifted.init_with_output({"params": key}, jnp.ones((2, 4)))[0].shape == (2, 3)


def test_the_subclass_of_a_decorated_module_keeps_its_own_fields():
    assert WideHead(3, width=5).width == 5
    assert WideHead._renamed_fields == Head._renamed_fields
    assert AdvisingHead._renamed_fields == {**Head._renamed_fields, "breadth": "width"}
    with pytest.raises(TypeError, match="features"):
        WideHead(features=3)


def test_create_answers_with_the_new_name_too(monkeypatch):
    monkeypatch.setattr(registry, "_ENTRIES", {})
    models.register("head", Head, input_shape=(4,), num_classes=3)
    assert models.create("head", num_classes=5).num_classes == 5
    with pytest.raises(ValueError, match="got 'features'; it is 'num_classes' now"):
        models.create("head", features=5)
    with pytest.raises(ValueError, match="got 'num_clases'; did you mean 'num_classes'"):
        models.create("head", num_clases=5)


@pytest.mark.parametrize("zero", [0, 0.0, np.float32(0), np.zeros(()), jnp.zeros(()), jnp.int8(0)])
def test_a_known_zero_is_one_in_every_form(zero):
    assert is_zero(zero)
    assert not jax.jit(lambda x: jnp.asarray(is_zero(x)))(0.0)
    with pytest.raises(ValueError, match=r"temperature .* got 0"):
        check_in_range("temperature", zero, includes_low=False)


@pytest.mark.parametrize("value", [2, np.int8(2), np.array(2), jnp.array(2)])
def test_an_integer_is_one_in_every_form(value):
    assert is_integer(value)
    assert not is_integer(float(value))
    assert not is_integer(np.asarray(value) == 2)


def test_indices_outside_of_the_range_are_named():
    check_indices("tokens", np.zeros(0, int), 3)
    check_indices("tokens", np.array([0, 2], np.uint8), 3)
    jax.jit(lambda tokens: check_indices("tokens", tokens, 3))(7)
    for outside in (-1, 3):
        with pytest.raises(ValueError, match=f"0 .. 2, got {outside}"):
            check_indices("tokens", jnp.array([1, outside]), 3)


def test_a_message_repeats_no_endless_value():
    endless = "n" * 900_000
    for call in (
        lambda: check_one_of("padding", endless, ("same", "valid")),
        lambda: check_in_range("rate", endless),
        lambda: check_positive_integer("steps", endless),
        lambda: models.create(endless),
        lambda: models.create("lenet5", **{endless: 1}),
        lambda: data.load(endless),
        lambda: nn.get_activation(endless),
    ):
        with pytest.raises((ValueError, TypeError), match=r"got .nnn.*nnn") as caught:
            call()
        assert len(str(caught.value)) < 2000
