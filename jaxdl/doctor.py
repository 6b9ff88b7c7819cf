"""What the library stands on here, what is wrong with it, and how to mend that."""

import importlib.metadata
import os
import platform
import sys
from typing import Literal, NamedTuple

import jax

NEEDED = ("jax", "jaxlib", "flax", "optax", "chex", "einops", "numpy", "safetensors", "rich", "orbax-checkpoint")
OPTIONAL = {
    "experiments": ("tyro", "scikit-learn", "matplotlib", "pooch", "pillow", "psutil", "sacrebleu", "rouge-score"),
    "test": ("pytest", "pytest-xdist", "hypothesis"),
    "parity": ("torch", "transformers", "captum", "gensim"),
}
OLDEST_JAX = (0, 10)


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        subject: what.
        found: its state.
        verdict: ``"ok"``, ``"note"`` for what may be better, ``"wrong"`` for what will not work.
        mend: what to do about it, empty where nothing is to be done.
    """

    subject: str
    found: str
    verdict: Literal["ok", "note", "wrong"] = "ok"
    mend: str = ""


def examine() -> list[Finding]:
    """Look at Python, packages, devices, precision, determinism, memory and the compilation cache.

    >>> any(finding.subject == "devices" for finding in examine())
    True
    """
    devices = _devices()
    here = [] if any(finding.verdict == "wrong" for finding in devices) else [*_determinism(), *_memory()]
    return [*_python(), *_packages(), *devices, *here, *_cache()]


def _python() -> list[Finding]:
    old = sys.version_info < (3, 11)
    mend = "use Python 3.11 or newer" if old else ""
    return [Finding("python", f"{platform.python_version()} on {platform.platform()}", "wrong" if old else "ok", mend)]


def _packages() -> list[Finding]:
    findings = []
    for name in NEEDED:
        version = _version(name)
        if version is None:
            findings.append(Finding(name, "not installed", "wrong", f"python -m pip install {name}"))
        elif name in ("jax", "jaxlib") and _numbers(version) < OLDEST_JAX:
            findings.append(Finding(name, version, "wrong", f"python -m pip install -U {name}"))
        else:
            findings.append(Finding(name, version))
    if _version("jax") != _version("jaxlib"):
        mend = "install jax and jaxlib of one version"
        findings.append(Finding("jax and jaxlib", f"{_version('jax')} and {_version('jaxlib')}", "note", mend))
    for extra, names in OPTIONAL.items():
        missing = [name for name in names if _version(name) is None]
        if missing:
            mend = f"python -m pip install 'jaxdl[{extra}]'"
            findings.append(Finding(f"extra {extra}", f"without {', '.join(missing)}", "note", mend))
        else:
            findings.append(Finding(f"extra {extra}", "complete"))
    return findings


def _devices() -> list[Finding]:
    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get("JAX_PLATFORMS", "")
        return [Finding("devices", f"none: {error} (JAX_PLATFORMS={wanted!r})", "wrong", "unset JAX_PLATFORMS")]
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    findings = [Finding("devices", f"{len(devices)} x {jax.default_backend()} ({kinds})")]
    if jax.default_backend() == "cpu" and os.path.exists("/proc/driver/nvidia"):
        mend = "python -m pip install 'jaxdl[cuda]'"
        findings.append(Finding("accelerator", "there is an NVIDIA driver, but jax runs on the CPU", "wrong", mend))
    precision = "64 bits allowed" if jax.config.jax_enable_x64 else "32 bits (JAX_ENABLE_X64=1 allows 64)"
    return [*findings, Finding("precision", precision)]


def _determinism() -> list[Finding]:
    if jax.default_backend() != "gpu":
        return [Finding("same seed twice", "bit for bit the same numbers")]
    flag = "--xla_gpu_deterministic_ops=true"
    if flag in os.environ.get("XLA_FLAGS", ""):
        return [Finding("same seed twice", f"bit for bit the same numbers ({flag})")]
    return [Finding("same seed twice", "sums on the GPU may differ in the last bits", "note", f"XLA_FLAGS={flag}")]


def _memory() -> list[Finding]:
    findings = []
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            used, limit = stats.get("bytes_in_use", 0) / 2**30, stats["bytes_limit"] / 2**30
            findings.append(Finding(f"memory of {device}", f"{used:.1f} of {limit:.1f} GiB in use"))
    if jax.default_backend() == "gpu":
        share = os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")
        taken = os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "true") != "false"
        found = f"{share} of each GPU is taken at the start" if taken else "taken as needed"
        findings.append(Finding("preallocation", found, "ok", "XLA_PYTHON_CLIENT_PREALLOCATE=false shares a GPU"))
    return findings


def _cache() -> list[Finding]:
    directory = jax.config.jax_compilation_cache_dir
    if not directory:
        mend = "JAX_COMPILATION_CACHE_DIR=~/.cache/jax keeps compiled programs between runs"
        return [Finding("compilation cache", "off", "note", mend)]
    if os.path.isdir(directory) and not os.access(directory, os.W_OK):
        return [Finding("compilation cache", f"{directory} cannot be written", "wrong", "give another folder")]
    return [Finding("compilation cache", directory)]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
