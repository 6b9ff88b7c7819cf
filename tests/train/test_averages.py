"""Averages of the parameters in the step: against torch, in evaluation, in checkpoints, and from an old state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import data, metrics, optim, train
from tests.peers import torch

ARRAYS = {"x": np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)}
LOADER = data.Loader(ARRAYS, 2)
OPTIMIZER = optim.sgd(0.1)


def loss(variables, batch, key):
    noise = jax.random.normal(key, (3,))
    return jnp.mean((variables["params"]["w"][None] - batch["x"] - noise[None]) ** 2)


def measure(variables, batch):
    return {"w": metrics.mean(variables["params"]["w"][0] * batch["mask"])}


def make_state():
    return train.TrainState.create({"params": {"w": jnp.ones(3)}}, OPTIMIZER, jax.random.key(0))


def follow(step, steps):
    """Return the parameters and the averages after every step."""
    state, rows = make_state(), []

    def keep(report):
        rows.append((np.asarray(report.state.params["w"]), np.asarray(report.state.average["w"])))

    train.fit(step, state, LOADER, steps=steps, report_every=1, hooks=[keep])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def torchs(params, read, **options):
    """Return the averages of torch that read the parameters at the steps ``read``, ``[steps, 3]``."""
    swa = pytest.importorskip("torch.optim.swa_utils", reason="parity with torch")
    model = torch().nn.Linear(3, 1, bias=False)
    torch().nn.init.ones_(model.weight)
    peer = swa.AveragedModel(model, **options)
    rows = []
    for number, w in enumerate([np.ones(3, np.float32), *params]):
        model.weight.data.copy_(torch().from_numpy(w[None]))
        if number in read:
            peer.update_parameters(model)
        rows.append(peer.module.weight.detach().numpy()[0].copy())
    return np.stack(rows[1:])


def test_an_average_is_torchs():
    params, averages = follow(train.make_step(loss, OPTIMIZER, average=0.75), 8)
    swa = pytest.importorskip("torch.optim.swa_utils", reason="parity with torch")
    peer = torchs(params, range(9), multi_avg_fn=swa.get_ema_multi_avg_fn(0.75))
    np.testing.assert_allclose(averages, peer, rtol=1e-6)


def test_equal_weights_are_stochastic_weight_averaging():
    params, averages = follow(train.make_step(loss, OPTIMIZER, average=optim.averaging.equal_weights(3, every=2)), 8)
    np.testing.assert_allclose(averages, torchs(params, {3, 5, 7}), rtol=1e-6)


def test_evaluate_the_average_and_find_it_in_the_state():
    evaluation = train.make_evaluation(measure, ARRAYS, evaluate="average")
    step = train.make_step(loss, OPTIMIZER, average=0.5)
    state, history = train.fit(step, make_state(), LOADER, steps=4, evaluate_every=2, evaluate=evaluation)
    assert [row["step"] for row in history if "evaluation/w" in row] == [2, 4]
    assert history[-1]["evaluation/w"] == pytest.approx(float(state.average["w"][0]))
    assert state.averaged["params"] is state.average
    assert train.make_evaluation(measure, ARRAYS)(state)["w"] == pytest.approx(float(state.params["w"][0]))
    with pytest.raises(TypeError, match="got a dict"):
        evaluation(state.variables)


def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path):
    step = train.make_step(loss, OPTIMIZER, average=0.9, precision="float16")
    whole, _ = train.fit(step, make_state(), LOADER, steps=7)
    checkpoints = train.Checkpoints(tmp_path, config={})
    part, _ = train.fit(step, make_state(), LOADER, steps=3)
    checkpoints.save(part)
    restored = checkpoints.restore(train.prepare(step, make_state()))
    resumed, _ = train.fit(step, restored, LOADER, steps=7)
    for name in ("params", "average", "loss_scale", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(resumed, name), getattr(whole, name))


def test_a_checkpoint_without_an_average_is_continued_with_one(tmp_path):
    checkpoints = train.Checkpoints(tmp_path, config={})
    old, _ = train.fit(train.make_step(loss, OPTIMIZER), make_state(), LOADER, steps=2)
    checkpoints.save(old)
    w = np.asarray(old.params["w"])
    step = train.make_step(loss, OPTIMIZER, average=0.5)
    state, _ = train.fit(step, checkpoints.restore(make_state()), LOADER, steps=3)
    np.testing.assert_allclose(state.average["w"], 0.5 * (w + np.asarray(state.params["w"])), rtol=1e-6)


def test_stacked_states_have_an_average_each():
    states = jax.vmap(lambda w: train.TrainState.create({"params": {"w": w}}, OPTIMIZER, jax.random.key(0)))(
        jnp.array([[1.0, 1, 1], [2, 2, 2]])
    )
    step = train.make_step(loss, OPTIMIZER, average=0.5, precision="float16")
    states, _ = train.fit(jax.vmap(step, in_axes=(0, None)), states, LOADER, steps=2)
    alone, _ = train.fit(step, make_state(), LOADER, steps=2)
    np.testing.assert_allclose(states.average["w"][0], alone.average["w"], rtol=1e-6)
    assert states.loss_scale.scale.shape == (2,)
