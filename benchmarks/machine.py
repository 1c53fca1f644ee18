"""The machine that a benchmark ran on, as far as speed depends on it."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import dcmq
from dcmq.experiments.records import PACKAGES, git_revision

_FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16")


def machine() -> dict:
    """CPU with the instruction sets that matter here, cores, torch's threads, memory, versions, git revision, date."""
    file = Path("/proc/cpuinfo")
    fields = dict(re.findall(r"^([\w ]+?)\s*: *(.*)$", file.read_text(), re.MULTILINE)) if file.is_file() else {}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"dcmq": dcmq.__version__, "python": platform.python_version()} | _versions(),
        "git": git_revision(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _versions() -> dict[str, str]:
    versions = {package: version(package) for package in PACKAGES}
    try:
        return versions | {"faiss-cpu": version("faiss-cpu")}
    except PackageNotFoundError:
        return versions


def description(facts: dict) -> str:
    """The facts of :func:`machine` in a line."""
    flags = ", ".join(facts["flags"]) or "no vector instructions known"
    return (
        f"{facts['cpu']} ({flags}), {facts['cores']} cores, {facts['threads']} threads, {facts['memory_gb']} GB; "
        f"torch {facts['versions']['torch']}, numpy {facts['versions']['numpy']}; code {facts['git']}; {facts['date']}"
    )
