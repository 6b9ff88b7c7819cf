"""Games that translate images: of pairs (pix2pix), and of two sets without pairs (CycleGAN)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import losses
from jaxdl.checks import check_in_range, is_zero
from jaxdl.generative.adversarial import AdversarialObjective, least_squares, non_saturating
from jaxdl.generative.image_pool import ImagePool, init_image_pool, query_image_pool
from jaxdl.metrics import mean
from jaxdl.tasks.adversarial import (
    DISCRIMINATOR,
    GENERATOR,
    Game,
    join_players,
    other_collections,
    player_variables,
    replace_player,
)
from jaxdl.tasks.task import Variables, apply_in_training, check_names, init_model
from jaxdl.typing import Array, ArrayLike, Batch, Key

Lossed = tuple[Array, tuple[Variables, dict[str, Array]]]


def pix2pix(
    generator: linen.Module,
    discriminator: linen.Module,
    *,
    objective: AdversarialObjective | None = None,
    l1_weight: float = 100.0,
) -> Game:
    """Learn to translate images from pairs: ``generator = L_G(D([a, G(a)])) + l1_weight |b - G(a)|``.

    The discriminator's loss is half of ``L_D(D([a, b]), D([a, G(a)]))``. Batches have the pairs ``"a"`` and ``"b"``
    (``[B, H, W, C]``, from -1 to 1) and may have ``"mask"`` (``[B]``). The players are ``discriminator``, the first,
    and ``generator``, both with the same translated images; their metrics are mean logits, and ``l1``.

    Args:
        generator: maps images ``a`` to images of the shape of ``b``.
        discriminator: maps ``[a, b]``, concatenated along the channels, to logits, one or many for each pair.
        objective: one of `jaxdl.generative`; `non_saturating` as it is.
        l1_weight: of the mean absolute error.

    Raises:
        ValueError: the weight is negative, or, when a function is traced, a batch lacks an array.

    Source: Isola et al., "Image-to-image translation with conditional adversarial networks", 2017.
    """
    check_in_range("l1_weight", l1_weight)
    objective = objective or non_saturating()

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, ["a", "b"])
        generator_key, discriminator_key = jax.random.split(key)
        pair = jnp.concatenate([batch["a"], batch["b"]], axis=-1)
        players = {
            DISCRIMINATOR: init_model(discriminator, discriminator_key, pair),
            GENERATOR: init_model(generator, generator_key, batch["a"]),
        }
        return join_players(players)

    def translate(variables: Variables, batch: Batch, key: Key) -> tuple[Array, Variables]:
        check_names(batch, ["a", "b"])
        own = player_variables(variables, GENERATOR)
        return apply_in_training(generator, own, batch["a"], key, rows=batch.get("mask"))

    def discriminate(variables: Variables, b: Array, batch: Batch, key: Key) -> tuple[Array, Variables]:
        own, pair = player_variables(variables, DISCRIMINATOR), jnp.concatenate([batch["a"], b], axis=-1)
        logits, updated = apply_in_training(discriminator, own, pair, key, rows=batch.get("mask"))
        return logits, replace_player(variables, DISCRIMINATOR, updated)

    def discriminator_loss(variables: Variables, batch: Batch, key: Key) -> Lossed:
        fake, _ = translate(variables, batch, key)
        real_key, fake_key = jax.random.split(jax.random.fold_in(key, 1))
        # Generated pairs first, as published: the order shows in the running moments.
        fake_logits, variables = discriminate(variables, fake, batch, fake_key)
        real_logits, variables = discriminate(variables, batch["b"], batch, real_key)
        mask = batch.get("mask")
        loss = objective.discriminator(real_logits, fake_logits, mask) / 2
        metrics = {"real": mean(real_logits, mask).value, "fake": mean(fake_logits, mask).value}
        return loss, (other_collections(variables), metrics)

    def generator_loss(variables: Variables, batch: Batch, key: Key) -> Lossed:
        fake, updated = translate(variables, batch, key)
        logits, variables = discriminate(variables, fake, batch, jax.random.fold_in(key, 2))
        variables, mask = replace_player(variables, GENERATOR, updated), batch.get("mask")
        l1 = losses.mean_absolute_error(fake, batch["b"], mask=mask)
        loss = objective.generator(logits, mask) + l1_weight * l1
        return loss, (other_collections(variables), {"fake": mean(logits, mask).value, "l1": l1})

    return Game(init, {DISCRIMINATOR: discriminator_loss, GENERATOR: generator_loss})


def cycle_gan(
    generator: linen.Module,
    discriminator: linen.Module,
    *,
    objective: AdversarialObjective | None = None,
    cycle_weight: ArrayLike = 10.0,
    identity_weight: ArrayLike = 0.5,
    pool_size: int = 50,
) -> Game:
    """Learn to translate between two sets of images without pairs, by generators ``G`` and ``F`` that are inverse::

        generator     = L_G(D_B(G(a))) + L_G(D_A(F(b))) + w (|F(G(a)) - a| + |G(F(b)) - b|)
                        + w v (|G(b) - b| + |F(a) - a|)
        discriminator = L_D(D_B(b), D_B(old G(a))) / 2 + L_D(D_A(a), D_A(old F(b))) / 2

    ``w`` is the cycle weight, ``v`` the identity weight, and ``old`` images are from a pool. Batches have ``"a"`` and
    ``"b"`` (``[B, H, W, C]``, from -1 to 1), which belong to each other in nothing but their number, and may have
    ``"mask"`` (``[B]``): rows whose mask is 0 count in no loss and do not enter the pools. The players are
    ``generator``, the first, with parameters ``{"a_to_b": ..., "b_to_a": ...}``, and ``discriminator``, with ``{"a":
    ..., "b": ...}``; published is a simultaneous step. The pools are the collection ``"pools"``.

    Args:
        generator: maps images of one set to images of the other; each direction has its own variables.
        discriminator: maps images to logits, one or many for each.
        objective: one of `jaxdl.generative`; `least_squares` as it is.
        cycle_weight: ``w``.
        identity_weight: ``v``; 0 for sets whose colours differ, and 0 where ``w`` is.
        pool_size: images in each pool.

    Raises:
        ValueError: a weight is negative, or, when a function is traced, a batch lacks an array.

    Source: Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", 2017.
    """
    check_in_range("cycle_weight", cycle_weight)
    check_in_range("identity_weight", identity_weight)
    objective = objective or least_squares()
    models = {GENERATOR: generator, DISCRIMINATOR: discriminator}

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, ["a", "b"])
        keys = jax.random.split(key, 4)
        each = {
            GENERATOR: {
                "a_to_b": init_model(generator, keys[0], batch["a"]),
                "b_to_a": init_model(generator, keys[1], batch["b"]),
            },
            DISCRIMINATOR: {
                "a": init_model(discriminator, keys[2], batch["a"]),
                "b": init_model(discriminator, keys[3], batch["b"]),
            },
        }
        variables = join_players({player: join_players(networks) for player, networks in each.items()})
        return {**variables, "pools": {name: init_image_pool(pool_size, batch[name][0])._asdict() for name in "ab"}}

    def apply(
        variables: Variables, player: str, name: str, x: Array, key: Key, mask: Array | None
    ) -> tuple[Array, Variables]:
        """Apply one network; return its output and the variables with its new collections."""
        own = player_variables(variables, player)
        output, updated = apply_in_training(models[player], player_variables(own, name), x, key, rows=mask)
        collections = other_collections(replace_player(own, name, updated))
        return output, replace_player(variables, player, collections)

    def translate(variables: Variables, batch: Batch, key: Key) -> tuple[Array, Array, Variables]:
        check_names(batch, ["a", "b"])
        (b_key, a_key), mask = jax.random.split(key), batch.get("mask")
        fake_b, variables = apply(variables, GENERATOR, "a_to_b", batch["a"], b_key, mask)
        fake_a, variables = apply(variables, GENERATOR, "b_to_a", batch["b"], a_key, mask)
        return fake_a, fake_b, variables

    def generator_loss(variables: Variables, batch: Batch, key: Key) -> Lossed:
        fake_a, fake_b, variables = translate(variables, batch, key)
        keys, mask = iter(jax.random.split(jax.random.fold_in(key, 1), 6)), batch.get("mask")
        l1 = partial(losses.mean_absolute_error, mask=mask)
        logits_a, variables = apply(variables, DISCRIMINATOR, "a", fake_a, next(keys), mask)
        logits_b, variables = apply(variables, DISCRIMINATOR, "b", fake_b, next(keys), mask)
        adversarial = objective.generator(logits_a, mask) + objective.generator(logits_b, mask)
        cycled_a, variables = apply(variables, GENERATOR, "b_to_a", fake_b, next(keys), mask)
        cycled_b, variables = apply(variables, GENERATOR, "a_to_b", fake_a, next(keys), mask)
        cycle = l1(cycled_a, batch["a"]) + l1(cycled_b, batch["b"])
        loss, metrics = adversarial + cycle_weight * cycle, {"adversarial": adversarial, "cycle": cycle}
        if not is_zero(identity_weight):
            same_b, variables = apply(variables, GENERATOR, "a_to_b", batch["b"], next(keys), mask)
            same_a, variables = apply(variables, GENERATOR, "b_to_a", batch["a"], next(keys), mask)
            metrics["identity"] = l1(same_a, batch["a"]) + l1(same_b, batch["b"])
            loss += cycle_weight * identity_weight * metrics["identity"]
        return loss, (other_collections(variables), metrics)

    def discriminator_loss(variables: Variables, batch: Batch, key: Key) -> Lossed:
        fake_a, fake_b, _ = translate(variables, batch, key)
        loss, pools, metrics, mask = jnp.zeros(()), {}, {}, batch.get("mask")
        for number, (name, fake) in enumerate((("a", fake_a), ("b", fake_b))):
            keys = jax.random.split(jax.random.fold_in(key, 2 + number), 3)
            old, pool = query_image_pool(ImagePool(**variables["pools"][name]), fake, keys[0], mask=mask)
            real, variables = apply(variables, DISCRIMINATOR, name, batch[name], keys[1], mask)
            found, variables = apply(variables, DISCRIMINATOR, name, old, keys[2], mask)
            loss, pools[name] = loss + objective.discriminator(real, found, mask) / 2, pool._asdict()
            metrics |= {f"real_{name}": mean(real, mask).value, f"fake_{name}": mean(found, mask).value}
        return loss, (other_collections({**variables, "pools": pools}), metrics)

    return Game(init, {GENERATOR: generator_loss, DISCRIMINATOR: discriminator_loss})
