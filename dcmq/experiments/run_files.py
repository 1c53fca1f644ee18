"""The files of a run, in a folder of its own under ``runs/``; nothing slow is imported."""

import re

RECORD = "record.json"  # settings, versions, losses, metrics: there when the run is finished
CHECKPOINT = "checkpoint.safetensors"  # weights and the optimizer's state after the last epoch that was finished
INPUTS = "inputs.json"  # what the student must know to read other images and texts

_NAME = re.compile(r"(?P<label>.+)-(?P<bits>\d+)bits-seed(?P<seed>\d+)-(?P<key>[0-9a-f]+)")


def folder_name(label: str, bits: int, seed: int, key: str) -> str:
    """The name of a run's folder, such as ``npc-64bits-seed0-5870db98c1a1ba22``.

    Args:
        label: the target of a run of DCMQ, else the method.
    """
    return f"{label}-{bits}bits-seed{seed}-{key}"


def name_parts(name: str) -> dict[str, str] | None:
    """The arguments of :func:`folder_name` by name, as text; None for a name that is not a run's."""
    match = _NAME.fullmatch(name)
    return match.groupdict() if match else None
