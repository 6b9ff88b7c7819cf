"""One of two processes that train as one: ``python -m tests.train.parallel.distributed_process PROCESS PORT FOLDER``.

It trains, saves the results, and stops a run after a signal to process 1 only. Then process 1 kills itself, and process
0 computes until it ends too.
"""

import json
import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxdl import train, tree
from jaxdl.train import parallel
from jaxdl.train.parallel import distributed
from tests.train.small import make_loader, make_run, train_ten

DEVICES = 4


def main(process: int, port: int, folder: Path) -> None:
    parallel.simulate_devices(DEVICES)
    distributed.initialize(f"127.0.0.1:{port}", processes=2, process=process, start_timeout=60, heartbeat_timeout=2)
    mesh = parallel.make_mesh({"data": 2 * DEVICES})
    loader = make_loader(**parallel.process_share(mesh))
    task, step, state, _ = make_run()
    checkpoints = train.Checkpoints(folder / "checkpoints", config={})
    sys.stdout.write(f"errors: {json.dumps(errors(process, step, state, loader, mesh))}\n")
    save = train.OnFirstProcess(train.SaveEvery(checkpoints), state=True)
    for name, rule in {"replicated": parallel.replicated, "sharded": parallel.fully_sharded}.items():
        hooks = [save] if name == "sharded" else []
        trained, history = train_ten(step, parallel.place(state, mesh, rule), loader, mesh=mesh, hooks=hooks)
        leaves = tree.flatten(distributed.collect(trained.replace(key=None)))
        np.savez(folder / f"{name}{process}.npz", **leaves, loss=history[-1]["train/loss"])
    test = train.make_evaluation(task.measure, loader.arrays, batch_size=20, mesh=mesh)(trained.variables)
    multihost_utils.sync_global_devices("saved")
    restored = parallel.place(checkpoints.restore(distributed.collect(state)), mesh, parallel.fully_sharded)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), restored.params, trained.params)
    sys.stdout.write(f"restored: {all(jax.tree.leaves(same))}\n")
    sys.stdout.write(f"trained: {json.dumps(test)}\n")
    sys.stdout.flush()
    sys.stdout.write(f"stopped: {json.dumps(stop(process, step, state, loader, mesh))}\n")
    sys.stdout.flush()
    if process == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        distributed.collect(trained.step)


def errors(process, step, state, loader, mesh):
    """Return the errors for inputs that differ between the processes."""
    other = state.replace(step=state.step + process, params=jax.tree.map(lambda leaf: leaf + process, state.params))
    attempts = [
        lambda: parallel.place(other, mesh, parallel.fully_sharded),
        lambda: parallel.on_mesh(other.params, mesh),
        lambda: parallel.place_arrays({"x": np.arange(8) + process}, mesh),
        lambda: train.fit(step, state, loader, epochs=1 + process, mesh=mesh),
    ]
    messages = []
    for attempt in attempts:
        try:
            attempt()
        except ValueError as error:
            messages.append(str(error))
    return messages


def stop(process, step, state, loader, mesh):
    """Train until a signal to process 1 only; return the step, the signal, and the counts of late signals."""
    received_late = []
    before = signal.signal(signal.SIGTERM, lambda *_: received_late.append(True))

    def kill(report):
        if process == 1 and report.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with train.interruptible() as interruption:
        stopped, _ = train_ten(step, state, loader, mesh=mesh, hooks=[interruption, kill], report_every=1)
    if process == 0:
        os.kill(os.getpid(), signal.SIGTERM)  # the same signal, later
    late = len(received_late)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)
    return int(stopped.step), interruption.signal, late, len(received_late)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
