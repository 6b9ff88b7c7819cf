"""The classification task: auxiliary heads add to the training loss and not to evaluation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import losses, tasks
from tests.variables import draw


class TwoHeads(nn.Module):
    """A linear classifier with an auxiliary head in training."""

    auxiliary = {"early": 0.25}  # noqa: RUF012 - as a model declares it
    num_classes: int = 3

    @nn.compact
    def __call__(self, x, train=False, return_intermediates=False):
        """Compute the logits."""
        out = {}
        if train:
            out["early"] = nn.Dense(self.num_classes, name="early")(x)
        logits = nn.Dense(self.num_classes, name="output")(x)
        return (logits, out) if return_intermediates else logits


def make(key):
    batch = {"image": np.random.default_rng(0).standard_normal((5, 4), np.float32), "label": np.arange(5) % 3}
    batch["mask"] = np.arange(5) < 4
    task = tasks.classification(TwoHeads())
    return task, draw(task.init, key, batch), batch


def test_an_auxiliary_head_adds_its_weighted_loss_over_the_same_examples(key):
    task, variables, batch = make(key)
    assert set(variables["params"]) == {"early", "output"}
    logits = {name: batch["image"] @ p["kernel"] + p["bias"] for name, p in variables["params"].items()}
    value, gradient = jax.jit(jax.value_and_grad(lambda v: task.loss(v, batch, key)[0]))(variables)
    parts = {name: losses.cross_entropy(logits[name][:4], batch["label"][:4]) for name in logits}
    np.testing.assert_allclose(value, parts["output"] + 0.25 * parts["early"], rtol=1e-6)
    assert jnp.any(gradient["params"]["early"]["kernel"] != 0)


def test_evaluation_ignores_the_auxiliary_head(key):
    task, variables, batch = make(key)
    output = variables["params"]["output"]
    logits = batch["image"] @ output["kernel"] + output["bias"]
    expected = losses.cross_entropy(logits[:4], batch["label"][:4])
    np.testing.assert_allclose(jax.jit(task.measure)(variables, batch)["loss"].value, expected, rtol=1e-6)
