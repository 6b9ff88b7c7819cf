"""Training steps of several players, each with a loss and an optimizer of its own, over one state that holds all.

The state is a `TrainState` whose parameters, and the optimizer's state, are dicts by player:
``params = {"generator": ..., "discriminator": ...}``. Loop, checkpoints, hooks and meshes need nothing else.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxdl import optim, tree
from jaxdl.checks import check_one_of, check_positive_integer
from jaxdl.train.gradient import from_additive, mean_gradient, to_additive
from jaxdl.train.precision import in_precision
from jaxdl.train.state import TrainState, check_optimizer
from jaxdl.train.step import Loss, Metrics, Step, cut_batch, separate_params
from jaxdl.typing import Array, Batch, Key, PyTree


def combine_optimizers(optimizers: Mapping[str, optax.GradientTransformation]) -> optax.GradientTransformation:
    """Combine the optimizers of players into one of all parameters, for `TrainState.create`.

    Its state is a dict of theirs.

    Raises:
        TypeError: one is no optimizer.

    >>> optimizer = combine_optimizers({"generator": optim.sgd(0.1), "discriminator": optim.adam(0.1)})
    >>> sorted(optimizer.init({"generator": jnp.zeros(2), "discriminator": jnp.zeros(3)}))
    ['discriminator', 'generator']
    """
    for optimizer in optimizers.values():
        check_optimizer(optimizer)
    by_player = {player: optax.with_extra_args_support(optimizer) for player, optimizer in optimizers.items()}

    def init(params: PyTree) -> PyTree:
        return {player: optimizer.init(params[player]) for player, optimizer in optimizers.items()}

    def update(updates: PyTree, state: PyTree, params: PyTree = None, **extra: Any) -> tuple[PyTree, PyTree]:
        pairs = {
            player: optimizer.update(
                updates[player], state[player], None if params is None else params[player], **extra
            )
            for player, optimizer in by_player.items()
        }
        return tuple({player: pair[i] for player, pair in pairs.items()} for i in (0, 1))  # pyright: ignore

    return optax.GradientTransformationExtraArgs(init, update)


def make_alternating_step(
    losses: Mapping[str, Loss],
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    updates: Mapping[str, int] | None = None,
    mesh: Mesh | None = None,
    precision: str = "float32",
) -> Step:
    """Make the step in which each player in turn descends its own loss, the others' parameters held fixed::

        w_1 = w_1 + u_1(d loss_1(w_1, w_2) / d w_1)          w_2 = w_2 + u_2(d loss_2(w_1, w_2) / d w_2)

    The second sees the new parameters of the first. All losses of a step get the same random key: what they draw, such
    as latent vectors, is then the same.

    Args:
        losses: by player, in the order of their updates, such as discriminator, generator. Each is a function of the
            variables of all players, ``{"params": {player: ...}, collection: ...}``, as that of `make_step`, and
            returns all collections.
        optimizers: by player.
        updates: number of updates of each player in a step, 1 for those not named: ``{"discriminator": 5}``. The batch
            is then cut into as many equal parts as the largest number, each of every ``n``-th row, and each update has
            the next one, and a key of its own.
        mesh: the devices over which ``fit`` shards the rows of a batch: each part is then sharded too.
        precision: "float32" or "bfloat16", in which the players compute, as for `make_step`. There is no "float16",
            whose losses would need a scale each.

    Returns:
        A pure function. Its metrics are those of `make_step` for each player, as ``discriminator_loss`` and so on, and
        those of its loss, as ``discriminator_NAME``; of several updates, their means.

    Raises:
        ValueError: losses and optimizers are of different players, a number is below one, or the precision unknown.
            When the step is traced, as `make_step`, or the number of updates does not divide the batch.
        TypeError: an optimizer is none.

    Source: Goodfellow et al., "Generative adversarial nets", 2014, algorithm 1.

    >>> losses = {
    ...     "x": lambda variables, batch, key: (variables["params"]["x"] * variables["params"]["y"], ({}, {})),
    ...     "y": lambda variables, batch, key: (-variables["params"]["x"] * variables["params"]["y"], ({}, {})),
    ... }
    >>> optimizers = {"x": optim.sgd(0.5), "y": optim.sgd(0.5)}
    >>> variables = {"params": {"x": jnp.array(1.0), "y": jnp.array(1.0)}}
    >>> state = TrainState.create(variables, combine_optimizers(optimizers), jax.random.key(0))
    >>> state, metrics = make_alternating_step(losses, optimizers)(state, {"row": jnp.zeros(1)})
    >>> {player: float(param) for player, param in state.params.items()}
    {'x': 0.5, 'y': 1.25}
    """
    rounds = {player: (updates or {}).get(player, 1) for player in losses}
    for player, number in (updates or {}).items():
        check_one_of("the player of updates", player, losses)
        check_positive_integer(f"updates[{player!r}]", number)
    parts = max(rounds.values(), default=1)
    players = _make_players(losses, optimizers, precision)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        microbatches = batch if parts == 1 else cut_batch(batch, parts, f"{parts} updates", mesh)
        metrics: Metrics = {}
        for player, (gradient, optimizer) in players.items():

            def update(state: TrainState, inputs: tuple[Batch, Key], player=player, gradient=gradient, by=optimizer):
                grads, collections, found = gradient(state, *inputs)
                state, more = _apply(state, player, by, grads, found[f"{player}_loss"])
                return dataclasses.replace(state, collections=collections), {**found, **more}

            if parts == 1:
                state, found = update(state, (batch, key))
            else:
                keys = jax.random.split(key, parts)
                inputs = jax.tree.map(lambda leaf, count=rounds[player]: leaf[:count], (microbatches, keys))
                state, several = jax.lax.scan(update, state, inputs)
                means = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), to_additive(several))
                found = from_additive(means)
            metrics |= found
        return dataclasses.replace(state, step=state.step + 1), metrics

    return step


def make_simultaneous_step(
    losses: Mapping[str, Loss],
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    precision: str = "float32",
) -> Step:
    """Make the step in which all players descend from the same point: every gradient is taken before any update.

    Arguments, metrics and errors as for `make_alternating_step`. The collections that one loss returns are those that
    the next one gets.

    >>> losses = {
    ...     "x": lambda variables, batch, key: (variables["params"]["x"] * variables["params"]["y"], ({}, {})),
    ...     "y": lambda variables, batch, key: (-variables["params"]["x"] * variables["params"]["y"], ({}, {})),
    ... }
    >>> optimizers = {"x": optim.sgd(0.5), "y": optim.sgd(0.5)}
    >>> variables = {"params": {"x": jnp.array(1.0), "y": jnp.array(1.0)}}
    >>> state = TrainState.create(variables, combine_optimizers(optimizers), jax.random.key(0))
    >>> state, metrics = make_simultaneous_step(losses, optimizers)(state, {"row": jnp.zeros(1)})
    >>> {player: float(param) for player, param in state.params.items()}
    {'x': 0.5, 'y': 1.5}
    """
    players = _make_players(losses, optimizers, precision)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        gradients, metrics = {}, {}
        for player, (gradient, _) in players.items():
            gradients[player], collections, found = gradient(state, batch, key)
            state = dataclasses.replace(state, collections=collections)
            metrics |= found
        for player, (_, optimizer) in players.items():
            state, more = _apply(state, player, optimizer, gradients[player], metrics[f"{player}_loss"])
            metrics |= more
        return dataclasses.replace(state, step=state.step + 1), metrics

    return step


Gradient = Callable[[TrainState, Batch, Key], tuple[PyTree, dict[str, PyTree], Metrics]]


def _make_players(
    losses: Mapping[str, Loss], optimizers: Mapping[str, optax.GradientTransformation], precision: str
) -> dict[str, tuple[Gradient, Any]]:
    """Return the gradient and the optimizer of every player."""
    if losses.keys() != optimizers.keys():
        raise ValueError(
            f"expected losses and optimizers of the same players, got {sorted(losses)} and {sorted(optimizers)}"
        )
    check_one_of("precision of several players", precision, ("float32", "bfloat16"))
    for optimizer in optimizers.values():
        check_optimizer(optimizer)

    def make(player: str, loss: Loss) -> Gradient:
        of_all, count = separate_params(in_precision(loss, precision)), getattr(loss, "count", None)

        def gradient(state: TrainState, batch: Batch, key: Key) -> tuple[PyTree, dict[str, PyTree], Metrics]:
            others = {name: params for name, params in state.params.items() if name != player}

            def of_player(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key) -> Any:
                return of_all({**others, player: params}, collections, batch, key)

            differentiate = mean_gradient(of_player, count=count)
            own = state.params[player]
            (value, (collections, metrics)), grads = differentiate(own, state.collections, batch, key)
            found: dict[str, Array] = {**metrics, "loss": value, "gradient_norm": tree.norm(grads)}
            return grads, collections, {f"{player}_{name}": metric for name, metric in found.items()}

        return gradient

    return {
        player: (make(player, loss), optax.with_extra_args_support(optimizers[player]))
        for player, loss in losses.items()
    }


def _apply(state: TrainState, player: str, optimizer: Any, grads: PyTree, value: Array) -> tuple[TrainState, Metrics]:
    """Update the parameters and the optimizer's state of one player."""
    updates, opt_state = optimizer.update(grads, state.opt_state[player], state.params[player], value=value)
    params = optax.apply_updates(state.params[player], updates)
    metrics = {f"{player}_parameter_norm": tree.norm(params), f"{player}_update_norm": tree.norm(updates)}
    learning_rate = optim.learning_rate(opt_state)
    if learning_rate is not None:
        metrics[f"{player}_learning_rate"] = learning_rate
    changes = {"params": {**state.params, player: params}, "opt_state": {**state.opt_state, player: opt_state}}
    return dataclasses.replace(state, **changes), metrics
