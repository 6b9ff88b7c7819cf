"""The environment of processes that tests start: they compile as the tests do, into the same cache."""

import os

import jax


def environment() -> dict[str, str]:
    """Return the variables of a process that simulates its own number of devices."""
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    return {
        **os.environ,
        "XLA_FLAGS": " ".join(flags),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
