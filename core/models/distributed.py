"""Collective operations between the torch processes of one job."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from core.jobs.launch import MEETING, Ranks, launch

T = TypeVar("T")
_TIMEOUT = datetime.timedelta(hours=2)
"""Time that the other processes wait while the main process measures or writes; a dead process fails at once."""


class Group:
    """Processes of a run. With a single process every operation is a no-op.

    Args:
        ranks: Rank of this process and number of processes.
    """

    def __init__(self, ranks: Ranks | None = None) -> None:
        self.ranks = Ranks() if ranks is None else ranks
        if self.ranks.world_size > 1 and not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            # Torch's default store would listen on all network interfaces, without a password.
            file = os.environ.get(MEETING)
            store = dist.FileStore(file, self.ranks.world_size) if file else None  # type: ignore[attr-defined]
            dist.init_process_group(
                backend, store=store, rank=self.ranks.rank, world_size=self.ranks.world_size, timeout=_TIMEOUT
            )

    @property
    def is_main(self) -> bool:
        """True in the process that measures, saves and reports."""
        return self.ranks.is_main

    def all_reduce_any(self, *flags: bool) -> tuple[bool, ...]:
        """Return, for each flag, whether any process sets it. Collective: every process must call it."""
        if self.ranks.world_size == 1:
            return flags
        reduced = torch.tensor(flags, dtype=torch.uint8)  # on the CPU, where a dead process raises an error
        dist.all_reduce(reduced, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in reduced)

    def all_reduce_gradients(self, module: nn.Module) -> None:
        """Sum the gradients of all processes; a parameter without a gradient in every process keeps none."""
        if self.ranks.world_size == 1:
            return
        parameters = [p for p in module.parameters() if p.requires_grad]
        has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=parameters[0].device)
        flat = torch.cat(
            [has, *(torch.zeros_like(p).view(-1) if p.grad is None else p.grad.view(-1) for p in parameters)]
        )
        dist.all_reduce(flat)
        has, *grads = torch.split(flat, [len(parameters), *(p.numel() for p in parameters)])
        for p, grad, some in zip(parameters, grads, has.tolist(), strict=True):
            p.grad = grad.view_as(p).clone() if some else None

    def all_reduce_sum(self, tensors: Iterable[Tensor]) -> None:
        """Sum tensors over all processes, in place."""
        if self.ranks.world_size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def broadcast_weights(self, module: nn.Module) -> None:
        """Copy the main process's weights to all processes, so that rounding cannot make them diverge."""
        if self.ranks.world_size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in rank order; an empty list in all processes except the main one."""
        if self.ranks.world_size == 1:
            return [value]
        values: list[T] | None = [value] * self.ranks.world_size if self.is_main else None
        dist.gather_object(value, values)
        return values or []

    def broadcast(self, value: T | None) -> T | None:
        """Return the main process's value."""
        if self.ranks.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0)
        return values[0]

    def barrier(self) -> None:
        """Wait until all processes have reached this point."""
        self.all_reduce_any(False)

    @contextmanager
    def rank_zero_first(self) -> Iterator[None]:
        """Run the body in the main process before the others, so that they find the files that it wrote."""
        if not self.is_main:
            self.barrier()
        yield
        if self.is_main:
            self.barrier()

    def close(self) -> None:
        """Destroy the process group."""
        if self.ranks.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def process_group(processes: int, folder: Path) -> Iterator[Group]:
    """Launch the processes of a job and connect them; see `core.jobs.launch`.

    Args:
        processes: Number of processes.
        folder: Folder of the job.

    Raises:
        CoreError: Another process failed or died; the message has its reason.
    """
    with launch(processes, folder) as ranks:
        group = Group(ranks)
        try:
            yield group
            group.barrier()  # no process may exit while another still waits for its last message
        finally:
            group.close()
