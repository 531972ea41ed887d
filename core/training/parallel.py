"""Batch statistics of steps that several processes share.

A step consists of parts, each with its own share of the batch and its own chance. Every process does some of the parts;
gradients and batch statistics are the means over all of them. So a run comes out the same, but for rounding, on one
process or many, as long as its number of parts stays the same.
"""

from __future__ import annotations

import torch
from torch import nn

from core.models.distributed import Group


class BatchNormStatistics:
    """Batch norms' running statistics through the parts of a step: each part starts from the same ones.

    Args:
        module: The network that is trained.
        parts: How many parts the step has.
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

    def part_done(self) -> None:
        """Takes note of what a part made of them, and sets them back."""
        self._after = [b.clone() for b in self._counts]
        for buffer, total in zip(self._buffers, self._total, strict=True):
            total += buffer
        self.forget()

    def put(self, group: Group) -> None:
        """Sets them to the mean over all parts of all processes."""
        group.all_reduce_sum(self._total)
        for buffer, total in zip(self._buffers, self._total, strict=True):
            buffer.copy_(total / self._parts)
        for count, after in zip(self._counts, self._after, strict=True):
            count.copy_(after)  # all parts are one step

    def forget(self) -> None:
        """Sets them back."""
        for buffer, start in zip((*self._buffers, *self._counts), (*self._start, *self._before), strict=True):
            buffer.copy_(start)
