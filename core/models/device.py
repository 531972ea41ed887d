"""Devices and numeric precision of the networks."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from core.errors import CoreError
from core.jobs.system import keep_freed_memory
from core.registry import closest

KINDS = ("cuda", "mps", "cpu")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name; "auto" selects the fastest available kind: cuda, then mps, then cpu.

    Afterwards, the process keeps freed memory, which the networks need again at each step.

    Raises:
        CoreError: The name is unknown, or this machine has no such device.
    """
    keep_freed_memory()
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind in KINDS if available[kind]))
    kind = name.partition(":")[0]
    if kind not in available:
        raise CoreError(f"There is no device named '{name}'.", closest(kind, ["auto", *KINDS]))
    if not available[kind]:
        raise CoreError(f"This machine has no usable {kind} device.", "Use 'auto' for the best available one.")
    return torch.device(name)


def process_count(wanted: int, device: str = "auto") -> int:
    """Return the number of processes to start on this machine: `wanted`, or one per GPU if it is 0."""
    if wanted > 0:
        return wanted
    return max(1, torch.cuda.device_count()) if device.partition(":")[0] in ("auto", "cuda") else 1


def describe_device(device: torch.device) -> str:
    """Return the name of a device, for notes and results."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads != 1)}"


def pick_precision(device: torch.device, wanted: Literal["auto", "fp32", "bf16"] = "auto") -> torch.dtype | None:
    """Return the compute dtype of the networks; None is float32, which all other computations always use.

    Volumes and coordinates stay in float32: 8 bits of mantissa cannot represent a pixel of a large image.

    Raises:
        CoreError: The device does not support the requested type.
    """
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    else:
        able = False
    if wanted == "bf16" and not able:
        raise CoreError(f"{describe_device(device)} does not support bf16.", "Set precision to 'auto' or 'fp32'.")
    return torch.bfloat16 if able and wanted != "fp32" else None


def autocast_to(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Return a context in which convolutions run in another dtype than their weights; None changes nothing."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def set_precision(module: torch.nn.Module, dtype: torch.dtype | None) -> None:
    """Set the compute dtype of the networks in a module, for training, where weights stay float32."""
    for part in module.modules():
        if hasattr(part, "precision"):
            setattr(part, "precision", dtype)  # noqa: B010 - only some modules have it
