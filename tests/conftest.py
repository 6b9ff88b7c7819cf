"""The strict setting in which every test runs."""

import gc
import importlib.metadata
import os
import threading
from pathlib import Path

# Most of the time goes into compiling programs that run once: less optimization, and where XLA has them (a flag that it
# does not know ends the process) fewer passes, its older emitters and programs in one piece; the results are the same.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    + (
        " --xla_cpu_opt_preset=CPU_OPT_PRESET_FAST_COMPILE --xla_cpu_use_fusion_emitters=false"
        " --xla_cpu_parallel_codegen_split_count=1"
    )
    * importlib.metadata.version("jaxlib").startswith("0.10."),
)
# The operations of a program need not name the whole stack of their calls: a tenth of the time of big networks.
os.environ.setdefault("JAX_INCLUDE_FULL_TRACEBACKS_IN_LOCATIONS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# A worker for every core is at work already: more threads of torch would spin and wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest
from jax._src.interpreters import mlir

# Tracing makes many objects that live as long as their programs: passes over all of them cost a tenth of the time.
gc.set_threshold(100_000, 50, 100)


class SharedContexts(threading.local):
    """MLIR contexts of this thread, each for 100 programs: one of its own takes half of the time of lowering it."""

    left = 0

    def __call__(self, make=mlir.make_ir_context):
        """Return the context of the next program."""
        if not self.left:
            self.context, self.left = make(), 100
        self.left -= 1
        return self.context


if jax.__version__.startswith("0.10."):  # later ones share contexts themselves
    mlir.make_ir_context = SharedContexts()

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxdl" / "tests"

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_make_parametrize_id(val, argname):
    """Name bytes by their argument: an archive holds the time of its making, and all processes must see one name."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def key():
    """A random key, the same in every test."""
    return jax.random.key(0)


@pytest.fixture
def float64():
    """Run the test in double precision, where a formula can be compared to its last digits."""
    with jax.enable_x64(True):
        yield
