"""The precision that is quickest on this machine: processors without instructions for bfloat16 imitate it, many times slower."""

import sys
import time
from functools import lru_cache
from statistics import median

import torch
from torch import nn

AUTO = "auto"  # the setting that asks for it
PLAIN, MIXED = "32-true", "bf16-mixed"
_IMAGES, _CHANNELS, _SIDE = 16, 64, 28  # as in the first stage of ResNet-18 at 112 pixels
_ROUNDS = 3


@lru_cache
def quickest_precision() -> str:
    """``bf16-mixed`` where a step of convolutions takes less time in it than in float32, else ``32-true``; says which, and why.

    Takes a part of a second, once in a process. What is chosen is part of a run's settings, so that its record says it.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seconds = probe(device)
    chosen, ratio = min(seconds, key=seconds.get), seconds[MIXED] / seconds[PLAIN]
    where = torch.cuda.get_device_name() if device == "cuda" else "this processor"
    print(
        f"precision: {chosen}, as a step in {MIXED} takes {ratio:.2g} times the time of {PLAIN} on {where}",
        file=sys.stderr,
    )
    return chosen


def probe(device: str) -> dict[str, float]:
    """The median seconds of a step of convolutions, forward and backward, by precision."""
    layers = [nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(_CHANNELS), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)).to(device)
    images = torch.zeros(_IMAGES, _CHANNELS, _SIDE, _SIDE, device=device)
    seconds: dict[str, list[float]] = {PLAIN: [], MIXED: []}
    for number in range(1 + _ROUNDS):
        for precision, times in seconds.items():
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=precision == MIXED):
                loss = network(images).float().square().mean()
            loss.backward()
            if device == "cuda":
                torch.cuda.synchronize()
            if number:  # the first of each is a warm-up
                times.append(time.perf_counter() - start)
    return {precision: median(times) for precision, times in seconds.items()}
