"""Comparisons for every architecture: a model of ours and a torch module with the same random weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import losses, pretrained, tree
from jaxdl.pretrained import Rule
from jaxdl.pretrained.rules import COUNTER
from tests.peers import torch

MAIN = "logits"


def randomize(peer: Any, seed: int = 0) -> Any:
    """Give a torch module random weights and statistics in float64, of sizes that keep signals near 1; return it."""
    random, library = np.random.RandomState(seed), torch()
    peer.double()
    state = {}
    for name, value in peer.state_dict().items():
        shape = tuple(value.shape)
        if not value.dtype.is_floating_point:
            continue
        numbers = random.standard_normal(shape)
        if name.endswith("running_var"):
            numbers = random.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            numbers = numbers / np.prod(shape[1:]) ** 0.5
        else:
            numbers = 0.1 * numbers + (1.0 if name.endswith("weight") else 0.0)
        state[name] = library.tensor(numbers)
    peer.load_state_dict(state, strict=False)
    return peer


def entries_of(peer: Any) -> dict[str, np.ndarray]:
    """Return the peer's state as arrays."""
    return {name: value.detach().numpy().copy() for name, value in peer.state_dict().items()}


def assert_parity(
    model: Any,
    peer: Any,
    rules: Sequence[Rule],
    x: np.ndarray,
    *,
    outputs: Callable[[Any], Mapping[str, Any]] = lambda output: {MAIN: output},
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """Compare logits in evaluation, and every gradient and batch statistic of a training step; in float64.

    Use it under the fixture ``float64`` with all dropout rates 0. The peer's weights are made random. The loss is the
    cross-entropy, and that of each auxiliary head times its weight in ``model.auxiliary``.

    Args:
        model: ours.
        peer: the torch module.
        rules: the names of the peer's weights.
        x: inputs of ours, ``[B, ..., C]``.
        outputs: names of what the peer returns, in evaluation and in training: ``"logits"``, ``[B, ..., K]``, and in
            training the features of ours that are logits of auxiliary heads.
        tolerance: largest difference relative to the largest number compared.
        seed: of weights and labels.
    """
    library, x = torch(), np.asarray(x, np.float64)
    entries = entries_of(randomize(peer, seed))
    forms = pretrained.template(model, x.shape[1:])
    variables = pretrained.convert(entries, forms, rules, dtype=np.float64)
    for name, again in pretrained.to_theirs(tree.flatten(variables), rules).items():
        if not name.endswith(COUNTER):
            np.testing.assert_array_equal(again, entries[name], err_msg=f"round trip of {name}")

    images = library.tensor(np.moveaxis(x, -1, 1).copy())
    peer.eval()
    with library.no_grad():
        expected = outputs(peer(images))[MAIN].numpy()
    classes = expected.shape[-1]
    labels = np.random.RandomState(seed + 1).randint(0, classes, expected.shape[:-1])
    logits, gradients, statistics = _ours(model, variables, x, labels)
    _close(logits, expected, tolerance, "logits")

    peer.train()
    weights = {MAIN: 1.0, **(getattr(model, "auxiliary", None) or {})}
    loss = sum(
        weights[name] * library.nn.functional.cross_entropy(value.flatten(0, -2), library.tensor(labels).flatten())
        for name, value in outputs(peer(images)).items()
    )
    loss.backward()
    theirs = {name: p.grad.numpy() for name, p in peer.named_parameters() if p.grad is not None}
    ours = pretrained.to_theirs({f"params/{path}": leaf for path, leaf in tree.flatten(gradients).items()}, rules)
    largest = max(np.abs(gradient).max() for gradient in theirs.values())
    assert theirs.keys() == {name for name in ours if np.any(ours[name] != 0) or name in theirs}
    for name, gradient in theirs.items():
        _close(ours[name], gradient, tolerance, f"gradient of {name}", 1e-3 * largest)
    if statistics:
        _close_statistics({"batch_stats": statistics}, peer, rules, tolerance)


def assert_training_parity(model: Any, peer: Any, rules: Sequence[Rule], x: np.ndarray) -> None:
    """Compare the logits of a training step and every batch statistic after it; in float64, as `assert_parity`.

    It compiles neither the evaluation nor a gradient: for networks whose layers are compared elsewhere.
    """
    variables = pretrained.convert(
        entries_of(randomize(peer)), pretrained.template(model, x.shape[1:]), rules, dtype=np.float64
    )
    logits, after = jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]))(variables, x)
    expected = peer.train()(torch().tensor(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    _close(np.asarray(logits), expected, 1e-11, MAIN)
    _close_statistics(jax.device_get(after), peer, rules, 1e-11)


def assert_same_weights(variables: Any, peer: Any, rules: Sequence[Rule]) -> None:
    """Compare names and shapes of all weights with those of the peer; leaves need no more than a shape.

    Args:
        variables: of ours, from `pretrained.template` for instance.
        peer: the torch module, made on the device "meta" for instance.
        rules: the names of the peer's weights.
    """
    zeros = {path: np.broadcast_to(np.float32(0), leaf.shape) for path, leaf in tree.flatten(variables).items()}
    ours = {name: entry.shape for name, entry in pretrained.to_theirs(zeros, rules).items()}
    assert ours == {name: tuple(entry.shape) for name, entry in peer.state_dict().items()}


def _ours(model: Any, variables: Any, x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, Any, Any]:
    """Return logits in evaluation, gradients in training, and statistics after it: one program."""
    params, statistics = variables["params"], variables.get("batch_stats", {})
    heads = getattr(model, "auxiliary", None) or {}

    def loss_of(params, statistics, x, labels):
        (logits, features), updated = model.apply(
            {"params": params, "batch_stats": statistics},
            x,
            train=True,
            return_intermediates=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
        loss = losses.cross_entropy(logits, labels)
        loss += sum(weight * losses.cross_entropy(features[name], labels) for name, weight in heads.items())
        return loss, updated.get("batch_stats", {})

    @jax.jit
    def run(params, statistics, x, labels):
        logits = model.apply({"params": params, "batch_stats": statistics}, x, train=False)
        gradients, updated = jax.grad(loss_of, has_aux=True)(params, statistics, x, labels)
        return logits, gradients, updated

    return jax.tree.map(np.asarray, run(params, statistics, jnp.asarray(x), jnp.asarray(labels)))


def _close_statistics(ours: Any, peer: Any, rules: Sequence[Rule], tolerance: float) -> None:
    theirs = {name: buffer.numpy() for name, buffer in peer.named_buffers()}
    for name, value in pretrained.to_theirs(tree.flatten(ours), rules).items():
        if not name.endswith(COUNTER):
            _close(value, theirs[name], tolerance, name)


def _close(ours: np.ndarray, theirs: np.ndarray, tolerance: float, name: str, least: float = 0.0) -> None:
    assert ours.shape == theirs.shape, f"{name}: {ours.shape} against {theirs.shape}"
    scale = max(float(np.abs(theirs).max(initial=0.0)), least)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=name)
