"""Small tasks for a method to fit."""

import torch
from tiny import STUDENT, tiny_dataset

from dcmq.config import EncodersConfig, MethodConfig
from dcmq.methods.base import FitTask

SMALL = EncodersConfig(**{k: v for k, v in STUDENT.model_dump().items() if k in EncodersConfig.model_fields})
HASHING = ["DCMH", "SSAH", "CMHH", "CMMQ", "DCH-SCR"]


def task_of(name, folder, **changes):
    settings = dict(method=name, student=SMALL, epochs=3, batch_size=16, learning_rate=3e-3) | changes
    dataset, teacher = tiny_dataset()
    return FitTask(MethodConfig(**settings), dataset, teacher, folder / name, "key")


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def similarity(n, m, seed=0):
    return torch.randint(0, 2, (n, m), generator=torch.Generator().manual_seed(seed)).float()
