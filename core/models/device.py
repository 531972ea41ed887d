"""Which processor the networks run on."""

from __future__ import annotations

import platform

import torch

from core.errors import CoreError
from core.registry import closest

KINDS = ("cuda", "mps", "cpu")


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes the fastest kind there is: cuda, then mps, then cpu.

    Raises:
        CoreError: The name is unknown, or the machine has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind in KINDS if available[kind]))
    kind = name.partition(":")[0]
    if kind not in available:
        raise CoreError(f"There is no kind of device named '{name}'.", closest(kind, ["auto", *KINDS]))
    if not available[kind]:
        raise CoreError(f"This machine has no usable {kind} device.", "Use 'auto' to take the best one there is.")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device in words, for notes and results."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"CPU, {torch.get_num_threads()} threads"
