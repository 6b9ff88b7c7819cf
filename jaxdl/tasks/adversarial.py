"""Games of two players: the losses of a generator and a discriminator over the variables of both."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import to_floating
from jaxdl.checks import check_in_range, check_positive_integer, is_zero
from jaxdl.generative.adversarial import AdversarialObjective, gradient_penalty, non_saturating
from jaxdl.metrics import mean
from jaxdl.tasks.task import Variables, apply_in_training, check_names, init_model
from jaxdl.typing import Array, Batch, Key

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


class Game(NamedTuple):
    """Several models, each with a loss, as pure functions of the variables of all.

    The variables are ``{"params": {player: ...}, collection: {player: ...}}``, for `train.make_alternating_step`.

    Attributes:
        init: ``init(key, batch) -> variables`` of all players, for batches of this shape.
        losses: by player ``loss(variables, batch, key) -> (loss, (collections, metrics))``, in the order of updates.
    """

    init: Callable[[Key, Batch], Variables]
    losses: dict[str, Callable[[Variables, Batch, Key], tuple[Array, tuple[Variables, dict[str, Array]]]]]


def join_players(players: Mapping[str, Variables]) -> Variables:
    """Join the variables of players into those of a game; `player_variables` is the inverse.

    >>> join_players({"a": {"params": 1, "batch_stats": 2}, "b": {"params": 3}})
    {'params': {'a': 1, 'b': 3}, 'batch_stats': {'a': 2}}
    """
    names = dict.fromkeys(["params", *(name for variables in players.values() for name in variables)])
    return {
        name: {player: variables[name] for player, variables in players.items() if name in variables} for name in names
    }


def player_variables(variables: Variables, player: str) -> Variables:
    """Return the variables of one player, for ``model.apply``.

    >>> player_variables({"params": {"a": 1, "b": 3}, "batch_stats": {"a": 2}}, "b")
    {'params': 3}
    """
    return {name: collection[player] for name, collection in variables.items() if player in collection}


def replace_player(variables: Variables, player: str, collections: Variables) -> Variables:
    """Replace the collections of one player that a pass has updated.

    >>> replace_player({"params": {"a": 1, "b": 3}, "batch_stats": {"a": 2}}, "a", {"batch_stats": 5})
    {'params': {'a': 1, 'b': 3}, 'batch_stats': {'a': 5}}
    """
    changed = {name: {**variables[name], player: collection} for name, collection in collections.items()}
    return {**variables, **changed}


def other_collections(variables: Variables) -> Variables:
    """Return all collections but the parameters, which a loss returns.

    >>> other_collections({"params": {"a": 1}, "batch_stats": {"a": 2}})
    {'batch_stats': {'a': 2}}
    """
    return {name: collection for name, collection in variables.items() if name != "params"}


def gan(
    generator: linen.Module,
    discriminator: linen.Module,
    *,
    objective: AdversarialObjective | None = None,
    latent_size: int = 100,
    penalty_weight: float = 0.0,
    inputs: str = "image",
) -> Game:
    """Learn to generate examples: ``G`` maps normal latent vectors to examples that ``D`` cannot tell from real ones.

    Batches have ``inputs`` (``[B, ...]``), from -1 to 1 for a generator that ends with ``tanh``, and may have
    ``"mask"`` (``[B]``). The players are ``discriminator``, the first, and ``generator``; both losses of a step are of
    the same latent vectors. Each normalizes by the moments of its batch, real and generated examples apart; the running
    moments of the generator are those of its own loss. The metrics are the mean logits ``real`` and ``fake``.

    Args:
        generator: ``generator.apply(variables, z, train=...)`` maps ``[B, latent_size]`` to examples.
        discriminator: maps examples to logits ``[B, ...]``.
        objective: one of `jaxdl.generative`; `non_saturating` as it is.
        latent_size: elements of ``z``.
        penalty_weight: of `gradient_penalty` in the discriminator's loss; 10 with `wasserstein`.
        inputs: the name of the examples in a batch.

    Raises:
        ValueError: an option is out of its range, or, when a function is traced, a batch lacks an array.

    Source: Goodfellow et al., "Generative adversarial nets", 2014.
    """
    check_positive_integer("latent_size", latent_size)
    check_in_range("penalty_weight", penalty_weight)
    objective = objective or non_saturating()

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        generator_key, discriminator_key = jax.random.split(key)
        x = to_floating(batch[inputs])
        z = jnp.zeros((len(x), latent_size), x.dtype)
        players = {
            DISCRIMINATOR: init_model(discriminator, discriminator_key, x),
            GENERATOR: init_model(generator, generator_key, z),
        }
        return join_players(players)

    def generate(variables: Variables, batch: Batch, key: Key) -> tuple[Array, Variables]:
        """Return generated examples and the generator's collections, the same for both players."""
        check_names(batch, [inputs])
        latent_key, generator_key = jax.random.split(key)
        x = to_floating(batch[inputs])
        z = jax.random.normal(latent_key, (len(x), latent_size), x.dtype)
        own = player_variables(variables, GENERATOR)
        return apply_in_training(generator, own, z, generator_key, rows=batch.get("mask"))

    def discriminate(variables: Variables, x: Array, batch: Batch, key: Key) -> tuple[Array, Variables]:
        """Return the logits, and the variables with the new collections of the discriminator."""
        own = player_variables(variables, DISCRIMINATOR)
        logits, updated = apply_in_training(discriminator, own, x, key, rows=batch.get("mask"))
        return logits, replace_player(variables, DISCRIMINATOR, updated)

    def discriminator_loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict]]:
        fake, _ = generate(variables, batch, key)
        real_key, fake_key, penalty_key, slope_key = jax.random.split(jax.random.fold_in(key, 1), 4)
        mask = batch.get("mask")
        real = to_floating(batch[inputs])
        real_logits, variables = discriminate(variables, real, batch, real_key)
        fake_logits, variables = discriminate(variables, fake, batch, fake_key)
        loss = objective.discriminator(real_logits, fake_logits, mask)
        metrics = {"real": mean(real_logits, mask).value, "fake": mean(fake_logits, mask).value}
        if not is_zero(penalty_weight):

            def critic(x: Array) -> Array:
                return discriminate(variables, x, batch, slope_key)[0]

            metrics["penalty"] = gradient_penalty(critic, real, fake, penalty_key, mask=mask)
            loss += penalty_weight * metrics["penalty"]
        return loss, (other_collections(variables), metrics)

    def generator_loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict]]:
        fake, updated = generate(variables, batch, key)
        logits, variables = discriminate(variables, fake, batch, jax.random.fold_in(key, 2))
        variables, mask = replace_player(variables, GENERATOR, updated), batch.get("mask")
        return objective.generator(logits, mask), (other_collections(variables), {"fake": mean(logits, mask).value})

    return Game(init, {DISCRIMINATOR: discriminator_loss, GENERATOR: generator_loss})
