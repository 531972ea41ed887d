"""What the processes of one job that use torch tell each other."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from core.jobs.launch import Ranks, launch

T = TypeVar("T")
_PATIENCE = datetime.timedelta(hours=2)
"""The others wait this long while the first process measures or writes; one that died is noticed at once."""


class Group:
    """The processes of a run. Alone, it does nothing and costs nothing.

    Args:
        ranks: Which of how many this is.
    """

    def __init__(self, ranks: Ranks | None = None) -> None:
        self.ranks = Ranks() if ranks is None else ranks
        if self.ranks.world_size > 1 and not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, rank=self.ranks.rank, world_size=self.ranks.world_size, timeout=_PATIENCE)

    @property
    def first(self) -> bool:
        """Whether this process measures, saves and tells."""
        return self.ranks.is_main

    def any(self, *facts: bool) -> tuple[bool, ...]:
        """Which of some facts hold in any process; all of them ask at the same point."""
        if self.ranks.world_size == 1:
            return facts
        told = torch.tensor(facts, dtype=torch.uint8)  # on the CPU: a process that died is noticed here
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return tuple(bool(fact) for fact in told)

    def sum_gradients(self, module: nn.Module) -> None:
        """Adds up all processes' gradients; a parameter that none has a gradient for keeps none."""
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

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Adds up tensors of all processes, in place."""
        if self.ranks.world_size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def copy(self, module: nn.Module) -> None:
        """Gives all processes the first one's weights, so that rounding never leads them apart; also waits for it."""
        if self.ranks.world_size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

    def gather(self, mine: T) -> list[T]:
        """What all processes have, in their order; the others than the first one get nothing."""
        if self.ranks.world_size == 1:
            return [mine]
        all_of: list[T] | None = [mine] * self.ranks.world_size if self.first else None
        dist.gather_object(mine, all_of)
        return all_of or []

    def told(self, value: T | None) -> T | None:
        """What the first process says."""
        if self.ranks.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0)
        return values[0]

    def wait(self) -> None:
        """Until all have come here."""
        self.any(False)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process does what is inside before the others do: they find the files that it made."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def close(self) -> None:
        """Leaves the group."""
        if self.ranks.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def grouped(processes: int, folder: Path) -> Iterator[Group]:
    """Has that many processes do the job in a folder, as `launch`, and lets them talk.

    Raises:
        CoreError: One of the others failed or died; with its reason.
    """
    with launch(processes, folder) as ranks:
        group = Group(ranks)
        try:
            yield group
        finally:
            group.close()
