"""Which processor the networks run on."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

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


def process_count(wanted: int, device: str = "auto") -> int:
    """How many processes are worth starting on this machine: as many as wanted, or for 0 one for each GPU."""
    if wanted > 0:
        return wanted
    return max(1, torch.cuda.device_count()) if device.partition(":")[0] in ("auto", "cuda") else 1


def describe_device(device: torch.device) -> str:
    """The device in words, for notes and results."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads != 1)}"


def pick_precision(device: torch.device, wanted: Literal["auto", "fp32", "bf16"] = "auto") -> torch.dtype | None:
    """What the networks compute in: None for float32, which everything outside of them always is.

    Volumes and coordinates are made in float32: a pixel of a large image has no room in 8 bits of mantissa.

    Raises:
        CoreError: The device cannot compute in what was wanted.
    """
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    else:
        able = False
    if wanted == "bf16" and not able:
        raise CoreError(f"{describe_device(device)} does not compute in bf16.", "Set precision to 'auto' or 'fp32'.")
    return torch.bfloat16 if able and wanted != "fp32" else None


def autocast_to(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Has convolutions inside compute in another type than their weights; None changes nothing."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def set_precision(module: torch.nn.Module, dtype: torch.dtype | None) -> None:
    """Has the networks in a module compute in another type; for training, where weights stay float32."""
    for part in module.modules():
        if hasattr(part, "precision"):
            setattr(part, "precision", dtype)  # noqa: B010 - which modules have it is known when it runs
