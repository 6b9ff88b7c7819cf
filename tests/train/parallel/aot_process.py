"""Compile small networks for eight TPU chips in all forms of parallelism; print a line of JSON for each."""

import json
import sys
import time

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import models, nn, optim, tasks, train, tree
from jaxdl.nn.normalization import BatchNorm
from jaxdl.nn.recurrent import LSTM
from jaxdl.train import parallel
from jaxdl.train.parallel import aot, explicit

ROWS = 16


class LeNet(linen.Module):
    """Convolutions with batch norm and pooling, in the order of LeNet."""

    axis_name: str | None = None

    @linen.compact
    def __call__(self, x, train=False):
        for features in (4, 8):
            x = nn.Conv(features, (5, 5), padding="same")(x)
            x = BatchNorm(axis_name=self.axis_name)(x, train=train)
            x = nn.max_pool(jax.nn.relu(x), 2)
        return linen.Dense(10)(x.reshape(len(x), -1))


def vision(model, size):
    image = jax.ShapeDtypeStruct((ROWS, size, size, 1), jnp.float32)
    return tasks.classification(model), {"image": image, "label": jax.ShapeDtypeStruct((ROWS,), jnp.int32)}


def language(model, rows=ROWS, length=8):
    token = jax.ShapeDtypeStruct((rows, length), jnp.int32)
    return tasks.language_model(model), {"token": token, "target": token}


SMALL = {"d_model": 128, "num_layers": 1, "num_heads": 1, "mlp_dim": 128}
STACK = {"d_model": 128, "num_layers": 3, "num_heads": 2, "scan_blocks": True, "remat": "block"}
NETWORKS = {
    "lenet": lambda axis: vision(LeNet(axis), 8),
    "lstm": lambda axis: language(models.RecurrentLanguageModel(vocab_size=128, cell=LSTM(128))),
    "gpt": lambda axis: language(models.GPT(vocab_size=128, context_length=8, **SMALL)),
    "stack": lambda axis: language(models.GPT(vocab_size=64, context_length=64, **STACK), 64, 64),
    "vit": lambda axis: vision(models.VisionTransformer(num_classes=8, patch_size=4, **SMALL), 8),
}


def compile_network(name, form, mesh):
    """Compile a training step; return what the compiler says."""
    one_program = form in ("jit", "fully_sharded")
    task, batch = NETWORKS[name](None if one_program else parallel.DATA)
    optimizer = optim.adam(1e-3)
    state = jax.eval_shape(
        lambda key: train.TrainState.create(task.init(key, jax.tree.map(zeros, batch)), optimizer, key),
        jax.eval_shape(lambda: jax.random.key(0)),
    )
    loss, settings = task.loss, {"axis_name": None if one_program else parallel.DATA}
    if form == "fully_sharded":
        loss, settings = parallel.gather_by_block(loss, mesh), {"precision": "bfloat16"}
    step = train.make_step(loss, optimizer, **settings)
    if form == "shard_map":
        # The others have loops that start from constants.
        step = explicit.with_shard_map(step, mesh, check=name == "lenet")
    elif form == "pmap":
        step = explicit.with_pmap(step, mesh)
    started = time.process_time()
    rule = parallel.fully_sharded if form == "fully_sharded" else parallel.replicated
    report = aot.examine_step(step, state, batch, mesh, aot.chip_of("v5e:2x4"), rule)
    measured = {"parameters": tree.size(state.params), "cpu": time.process_time() - started}
    return report._asdict() | {"name": name, "form": form} | measured


def zeros(form):
    return jnp.zeros(form.shape, form.dtype)


if __name__ == "__main__":
    devices = aot.topology_mesh("v5e:2x4", {"data": 8})
    for case in sys.argv[1:]:
        sys.stdout.write(json.dumps(compile_network(*case.split(":"), devices)) + "\n")
        sys.stdout.flush()
