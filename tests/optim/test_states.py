"""States have the leaves that checkpoints name: renaming or moving one would make stored runs unreadable."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxdl import optim, tree

PARAMS = {"a": jnp.ones(2), "b": [jnp.ones(3)]}
RATE = {"count": "int32", "learning_rate": "float32"}


def moments(*names: str) -> dict[str, str]:
    return {f"{name}/{leaf}": "float32" for name in names for leaf in ("a", "b/0")}


def paths(*states: dict[str, str]) -> dict[str, str]:
    """Number the states of a chain; an empty one has no leaves."""
    return {f"{i}/{path}": dtype for i, state in enumerate(states) for path, dtype in state.items()}


ADAM = {"count": "int32", **moments("mu", "nu")}
RMS = {"count": "int32", **moments("nu")}
TABLE = {
    "sgd": (optim.sgd(0.1), paths(RATE)),
    "momentum": (optim.momentum(0.1), paths({"count": "int32", **moments("trace")}, RATE)),
    "nesterov": (optim.nesterov(0.1), paths({"count": "int32", **moments("trace")}, RATE)),
    "adagrad": (optim.adagrad(0.1), paths(RMS, RATE)),
    "rmsprop": (optim.rmsprop(0.1), paths(RMS, RATE)),
    "adadelta": (optim.adadelta(), paths(moments("v", "u"), RATE)),
    "adam": (optim.adam(0.1), paths(ADAM, RATE)),
    "adamw": (optim.adamw(0.1, mask="a"), paths(ADAM, {}, RATE)),
    "adamax": (optim.adamax(0.1), paths(ADAM, RATE)),
    "maxprop": (optim.maxprop(0.1), paths(RMS, RATE)),
    "nadam": (optim.nadam(0.1), paths(ADAM, RATE)),
    "nadam_simplified": (optim.nadam_simplified(0.1), paths(ADAM, RATE)),
    "nadam_momentum_decay": (optim.nadam_momentum_decay(0.1), paths({**ADAM, "product": "float32"}, RATE)),
    "reduce_on_plateau": (
        optax.chain(optim.clip(1.0), optim.reduce_on_plateau()),
        paths(
            {},
            {
                "scale": "float32",
                "reference_value": "float32",
                "plateau_count": "int32",
                "cooldown_count": "int32",
                "count": "int32",
                "mean_value": "float32",
            },
        ),
    ),
    "proximal_l1": (optim.proximal_l1(0.1, 0.1), {"count": "int32"}),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_state_has_the_leaves_that_checkpoints_name(name):
    optimizer, expected = TABLE[name]
    found = {path: str(leaf.dtype) for path, leaf in tree.flatten(optimizer.init(PARAMS)).items()}
    assert list(found.items()) == list(expected.items())


def test_fields_of_none_have_no_place_in_a_checkpoint():
    class ScaleByMomentsState(NamedTuple):
        """The one state that all of these methods had at first, with None for what they do not use."""

        count: Any
        mu: Any
        nu: Any
        product: Any

    _, nu = moment_trees = ({"a": 1.0}, {"a": 2.0})
    for state, stored in (
        (optim.ScaleByAdamState(3, *moment_trees), ScaleByMomentsState(3, *moment_trees, None)),
        (optim.ScaleByRmsState(3, nu), ScaleByMomentsState(3, None, nu, None)),
        (optim.ScaleByNadamMomentumDecayState(3, *moment_trees, 0.5), ScaleByMomentsState(3, *moment_trees, 0.5)),
    ):
        assert list(tree.flatten(state).items()) == list(tree.flatten(stored).items())
        assert jax.tree.leaves(state) == jax.tree.leaves(stored)
