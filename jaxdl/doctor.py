"""Diagnosis of an installation: packages, devices, memory and caches, with a fix for every problem."""

import importlib.metadata
import os
import platform
import sys
from typing import Literal, NamedTuple

import jax

REQUIRED = ("jax", "jaxlib", "flax", "optax", "chex", "einops", "numpy", "safetensors", "rich", "orbax-checkpoint")
OPTIONAL = {
    "experiments": ("tyro", "scikit-learn", "matplotlib", "pooch", "pillow", "psutil", "sacrebleu", "rouge-score"),
    "test": ("pytest", "pytest-xdist", "hypothesis"),
    "parity": ("torch", "transformers", "captum", "gensim"),
}
OLDEST_JAX = (0, 10)


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        subject: the package, device or setting.
        found: its state.
        verdict: ``"ok"``, ``"note"`` for a possible improvement, ``"wrong"`` for an error.
        fix: the remedy, empty if there is nothing to fix.
    """

    subject: str
    found: str
    verdict: Literal["ok", "note", "wrong"] = "ok"
    fix: str = ""


def examine() -> list[Finding]:
    """Check Python, packages, devices, precision, determinism, memory and the compilation cache.

    >>> any(finding.subject == "devices" for finding in examine())
    True
    """
    devices = _devices()
    running = [] if any(finding.verdict == "wrong" for finding in devices) else [*_determinism(), *_memory()]
    return [*_python(), *_packages(), *devices, *running, *_cache()]


def _python() -> list[Finding]:
    old = sys.version_info < (3, 11)
    fix = "use Python 3.11 or newer" if old else ""
    return [Finding("python", f"{platform.python_version()} on {platform.platform()}", "wrong" if old else "ok", fix)]


def _packages() -> list[Finding]:
    findings = []
    for name in REQUIRED:
        version = _version(name)
        if version is None:
            findings.append(Finding(name, "not installed", "wrong", f"python -m pip install {name}"))
        elif name in ("jax", "jaxlib") and _numbers(version) < OLDEST_JAX:
            findings.append(Finding(name, version, "wrong", f"python -m pip install -U {name}"))
        else:
            findings.append(Finding(name, version))
    if _version("jax") != _version("jaxlib"):
        fix = "install the same version of both"
        findings.append(Finding("jax and jaxlib", f"{_version('jax')} and {_version('jaxlib')}", "note", fix))
    for extra, names in OPTIONAL.items():
        missing = [name for name in names if _version(name) is None]
        if missing:
            fix = f"python -m pip install -e '.[{extra}]' in the checkout"
            findings.append(Finding(f"extra {extra}", f"missing: {', '.join(missing)}", "note", fix))
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
        fix = "python -m pip install -e '.[cuda]' in the checkout"
        findings.append(Finding("accelerator", "an NVIDIA driver, but JAX runs on the CPU", "wrong", fix))
    x64 = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # attributes made at run time
    precision = "64 bits" if x64 else "32 bits (JAX_ENABLE_X64=1 enables 64)"
    return [*findings, Finding("precision", precision)]


def _determinism() -> list[Finding]:
    if jax.default_backend() != "gpu":
        return [Finding("determinism", "bitwise")]
    flag = "--xla_gpu_deterministic_ops=true"
    if flag in os.environ.get("XLA_FLAGS", ""):
        return [Finding("determinism", f"bitwise ({flag})")]
    return [Finding("determinism", "sums on the GPU may differ in the last bits", "note", f"XLA_FLAGS={flag}")]


def _memory() -> list[Finding]:
    findings = []
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            used, limit = stats.get("bytes_in_use", 0) / 2**30, stats["bytes_limit"] / 2**30
            findings.append(Finding(f"memory of {device}", f"{used:.1f} of {limit:.1f} GiB in use"))
    if jax.default_backend() == "gpu":
        share = os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")
        preallocates = os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "true") != "false"
        found = f"{share} of each GPU" if preallocates else "off"
        findings.append(Finding("preallocation", found, "ok", "XLA_PYTHON_CLIENT_PREALLOCATE=false to share a GPU"))
    return findings


def _cache() -> list[Finding]:
    directory = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]  # as above
    if not directory:
        fix = "JAX_COMPILATION_CACHE_DIR=~/.cache/jax to keep compiled programs"
        return [Finding("compilation cache", "off", "note", fix)]
    if os.path.isdir(directory) and not os.access(directory, os.W_OK):
        return [Finding("compilation cache", f"{directory} is not writable", "wrong", "choose another folder")]
    return [Finding("compilation cache", directory)]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
