"""Whether this machine computes to the bit as the one that made the committed records."""

from importlib.metadata import version

import torch

CAPABILITY = "AVX2"  # of the CPU that made them; one with other instructions rounds otherwise


def differs_from(record: dict) -> str:
    """The reason why a repeated run may differ from ``record`` in its last bits; empty where it may not."""
    here = torch.backends.cpu.get_cpu_capability()
    if here != CAPABILITY:
        return f"the records were made with {CAPABILITY}, this CPU has {here} and rounds otherwise"
    there, installed = record["versions"]["torch"], version("torch")
    return "" if there == installed else f"the record was made with torch {there}, and {installed} is installed"
