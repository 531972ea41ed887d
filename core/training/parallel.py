"""Batch norm statistics of training steps that are shared by several processes.

A step consists of micro-batches, each with its part of the batch and a separate random generator. Every process
computes some of them; gradients and batch norm statistics are means over all. A run therefore gives the same result, up
to rounding, for any number of processes, as long as the number of micro-batches stays the same.
"""

from __future__ import annotations

import torch
from torch import nn

from core.models.distributed import Group


class BatchNormStatistics:
    """Running statistics of batch norms in a step; every micro-batch starts from the same statistics.

    Args:
        module: Network in training.
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
        """Add the statistics after a micro-batch to the total, and restore the initial ones."""
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
