"""Batch norm statistics of steps that several processes share.

A step consists of micro-batches, each with its own share of the batch and its own random numbers. Every process
computes some of them; gradients and batch norm statistics are means over all. So a run gives the same result, up to
rounding, on one process or many, as long as the number of micro-batches stays the same.
"""

from __future__ import annotations

import torch
from torch import nn

from core.models.distributed import Group


class BatchNormStatistics:
    """Running statistics of batch norms through the micro-batches of a step: each starts from the same ones.

    Args:
        module: Network that is trained.
        parts: Number of micro-batches of the step.
    """

    def __init__(self, module: nn.Module, parts: int) -> None:
        self._parts = parts
        buffers = list(module.buffers()) if parts > 1 else []
        self._buffers = [b for b in buffers if b.is_floating_point()]
        self._counts = [b for b in buffers if not b.is_floating_point()]
        self._start = [b.clone() for b in self._buffers]
        self._total = [torch.zeros_like(b) for b in self._buffers]
        self._before = [b.clone() for b in self._counts]
        self._after = self._before

    def accumulate(self) -> None:
        """Add the statistics after a micro-batch to the total, and restore them."""
        self._after = [b.clone() for b in self._counts]
        for buffer, total in zip(self._buffers, self._total, strict=True):
            total += buffer
        self.restore()

    def average(self, group: Group) -> None:
        """Set the statistics to the mean over all micro-batches of all processes."""
        group.all_reduce_sum(self._total)
        for buffer, total in zip(self._buffers, self._total, strict=True):
            buffer.copy_(total / self._parts)
        for count, after in zip(self._counts, self._after, strict=True):
            count.copy_(after)  # all micro-batches count as one step

    def restore(self) -> None:
        """Restore the statistics before the step."""
        for buffer, start in zip((*self._buffers, *self._counts), (*self._start, *self._before), strict=True):
            buffer.copy_(start)
