"""How much of a step's work is done at once."""

from __future__ import annotations


class MicroBatched:
    """A stage whose steps can be made smaller.

    Attributes:
        batch: Frames, scenes or people a step.
    """

    batch: int

    def split(self, parts: int) -> None:
        """Makes `losses` a part of a step: so many of them share its batch. Called once, before anything else."""
        self.batch = -(-self.batch // parts)

    def reduce_batch(self) -> bool:
        """Makes steps smaller after memory ran out; False where they cannot be."""
        whole = self.batch
        self.batch = max(1, whole // 2)
        return self.batch < whole
