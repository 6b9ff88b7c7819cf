"""Compilation for TPUs that are not there, in a process of its own, and the reading of its results."""

import importlib.util
import json
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import nn
from jaxdl.train import parallel
from jaxdl.train.parallel import aot, executed, operations, scaling
from jaxdl.train.parallel.communication import Collective
from tests.processes import environment
from tests.train.small import make_run

CASES = [*(f"{name}:jit" for name in ("lenet", "lstm", "gpt", "vit")), "lenet:shard_map", "gpt:shard_map", "lenet:pmap"]
CASES += ["stack:fully_sharded"]


def test_small_networks_compile_for_a_tpu_in_every_form():
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu, the compiler for TPUs, is not installed: pip install 'jax[tpu]'")
    command = [sys.executable, "-m", "tests.train.parallel.aot_process", *CASES]
    variables = {**environment(), **aot.environment(), "XLA_FLAGS": ""}
    run = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=280)
    assert run.returncode == 0, run.stderr[-2000:]
    reports = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert [f"{report['name']}:{report['form']}" for report in reports] == CASES
    for report in reports:
        assert report["fits"]
        assert 0 < report["arguments"] < report["peak"] < 2**28
        assert report["operations"] > 0
        sizes = {kind: size for kind, _, size in report["collectives"]}
        if report["form"] == "fully_sharded":
            # In 16 bits, forward and backward; no activations.
            assert 0 < sizes["all-gather"] <= 2 * 2 * report["parameters"]
            assert sizes["reduce-scatter"] > 0
        else:
            assert sizes["all-reduce"] >= 4 * report["parameters"], report["name"]  # of the gradient, in float32


def test_a_missing_compiler_is_an_import_error(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"jax\[tpu\]"):
        aot.topology_mesh("v5e:2x4", {"data": 8})


def test_an_unknown_topology_raises():
    with pytest.raises(ValueError, match="got 'v5:2x4'; did you mean 'v5e'"):
        aot.topology_mesh("v5:2x4", {"data": 8})


def test_a_step_is_examined_on_the_devices_of_this_machine():
    _, step, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 8})
    shapes = jax.eval_shape(lambda: (state, loader.batch(0)))
    reports = [aot.examine_step(step, *shapes, mesh, aot.CHIPS["v5e"], quick=quick) for quick in (False, True)]
    for report in reports:
        assert report.fits
        assert [found.kind for found in report.collectives] == ["all-reduce"]
    sharded = aot.place_shapes(*shapes, mesh, parallel.fully_sharded)[0]
    parts = {leaf.sharding.spec for leaf in jax.tree.leaves(sharded.params)}
    assert len(parts) > 1
    assert "GiB free" in aot.advise(report, aot.CHIPS["v5e"], 4, is_sharded=False)


def test_operations_of_products_convolutions_and_loops():
    def network(x, kernel, w):
        y = convolve(x, kernel)
        return jax.lax.scan(lambda z, _: (z @ w, None), y.reshape(len(y), -1), None, length=5)[0]

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, kernel, w = (np.zeros(shape, np.float32) for shape in ((2, 4, 4, 3), (3, 3, 3, 6), (24, 24)))
    forward = 2 * (2 * 2 * 2 * 6) * 27 + 5 * 2 * 2 * 24 * 24
    assert operations.count_operations(network, x, kernel, w) == forward
    gradient = jax.grad(lambda kernel, w: jnp.sum(network(x, kernel, w)), argnums=(0, 1))
    assert operations.count_operations(gradient, kernel, w) == 2 * (2 * 2 * 2 * 6) * 27 * 2 + 3 * 5 * 2 * 2 * 24 * 24


def test_operations_on_many_devices_are_those_of_all():
    mesh, spec = parallel.make_mesh({"data": 8}), jax.sharding.PartitionSpec("data")
    x, w = np.zeros((16, 4), np.float32), np.zeros((4, 2), np.float32)
    specs = {"in_specs": (spec, jax.sharding.PartitionSpec()), "out_specs": spec}
    mapped = jax.shard_map(lambda x, w: x @ w, mesh=mesh, **specs)
    assert operations.count_operations(mapped, x, w) == 2 * 16 * 4 * 2


def test_operations_are_those_of_the_platform():
    def choose(x, y):
        return jax.lax.platform_dependent(x, y, cpu=lambda x, y: x @ y, default=lambda x, y: x @ y @ y)

    x = np.zeros((2, 2), np.float32)
    found = [operations.count_operations(choose, x, x, platform=name) for name in ("cpu", "tpu")]
    assert found == [16, 32]
    with pytest.raises(ValueError, match="while"):
        operations.count_operations(lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ x, x), x)


def test_operations_of_causal_attention_are_those_of_the_visible_blocks():
    q = np.zeros((1, 1024, 4), np.float32)
    attend = partial(nn.dot_product_attention, causal=True, implementation="blockwise")
    visible = 4 * 5 / 2 * 256 * 256  # of 4 x 4 blocks of 256 positions
    assert operations.count_operations(attend, q, q, q) == 2 * 2 * 4 * visible
    gradient = jax.grad(lambda *inputs: jnp.sum(attend(*inputs)), argnums=(0, 1, 2))
    assert operations.count_operations(gradient, q, q, q) == (2 + 5) * 2 * 4 * visible


def test_collectives_of_a_scan_count_as_often_as_it_runs():
    mesh = parallel.make_mesh({"data": 8})

    def total(x):
        spec = jax.sharding.PartitionSpec(parallel.DATA)
        body = jax.shard_map(lambda x: jax.lax.psum(x, "data") / 8, mesh=mesh, in_specs=spec, out_specs=spec)
        return jax.lax.scan(lambda x, _: (jnp.sin(body(x)), None), x, None, length=6)[0]

    compiled = jax.jit(total).lower(jax.ShapeDtypeStruct((16,), jnp.float32)).compile()
    assert executed.executed_collectives(compiled) == [Collective("all-reduce", 6, 6 * 8)]
    assert parallel.list_collectives(compiled) == [Collective("all-reduce", 1, 8)]


def test_collectives_of_a_program_for_a_tpu():
    text = """
%all-reduce-scatter.3.clone (input: f32[64]) -> f32[8] {
  %sum = f32[64]{0} all-reduce(%input), channel_id=1
  ROOT %part = f32[8]{0} dynamic-slice(%sum, %n), dynamic_slice_sizes={8}
}

%start (p: f32[2]) -> f32[16] {
  %gather.1 = f32[16]{0} all-gather(%p), channel_id=2
}

%done (p: f32[2]) -> f32[16] {
  %gather.2 = f32[16]{0} all-gather(%p), channel_id=2
}

%body (p: f32[8]) -> f32[8] {
  %a = f32[16]{0} fusion(%p), kind=kLoop, calls=%start
  %b = f32[16]{0} fusion(%p), kind=kLoop, calls=%done
  %c = f32[8]{0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.3.clone, backend_config={}
}

%condition (p: f32[8]) -> pred[] {
  %limit = s32[]{:T(128)} constant(3)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %loop = f32[8]{0} while(%p), condition=%condition, body=%body, metadata={}
  %last = f32[4]{0} all-reduce(%p), channel_id=3
  %same = f32[4]{0} all-reduce(%q), channel_id=3
}
"""
    assert executed.parse_executed_collectives(text) == [
        Collective("all-gather", 3, 192),
        Collective("all-reduce", 2, 32),
        Collective("reduce-scatter", 3, 96),
    ]


def test_weak_scaling_of_a_replicated_and_of_a_sharded_step():
    size = 8 * 10**9
    replicated = [Collective("all-reduce", 1, size)]
    sharded = [Collective("all-gather", 2, 2 * size), Collective("reduce-scatter", 1, size // 8)]
    times = [
        [one.communication_seconds for one in scaling.weak_scaling(1.0, found, 8, [8, 256], speed=1.0, bandwidth=1e9)]
        for found in (replicated, sharded)
    ]
    assert times[0] == pytest.approx([14.0, 2 * 255 / 256 * 8])
    assert times[1] == pytest.approx([1.5 * time for time in times[0]])  # as much again for the second gathering
    slices = scaling.multislice_seconds(size, 4, 256, link_bandwidth=200e9, network_bandwidth=3e9)
    assert slices < scaling.flat_seconds(size, 4, 256, network_bandwidth=3e9) / 20


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Used 16.80G of 15.75G hbm", 16.8 * 2**30),
        ("Used 3.5M of 1.0M hbm", 3.5 * 2**20),
        ("the total memory required for HLO temporaries (30.53G) exceeds available HBM (15.75G).", 30.53 * 2**30),
    ],
)
def test_the_memory_of_a_program_that_does_not_fit(message, expected):
    assert aot.used_memory(message) == pytest.approx(expected)
    assert aot.used_memory("INVALID_ARGUMENT: no such thing") is None
