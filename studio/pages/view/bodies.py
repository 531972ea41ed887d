"""Bodies fitted to the results of a take, read once. No widgets."""

from __future__ import annotations

from core.body.models.registry import load_body_model
from core.body.sequence import BodyMotion
from core.session import Take


class BodiesReader:
    """Reads the bodies of results, again only when their file has changed."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], tuple[int, BodyMotion]] = {}

    def read(self, take: Take, result: str) -> BodyMotion | None:
        """Return the bodies fitted to a result of a take; None without any.

        Raises:
            CoreError: The file is damaged, or its body model is not on this machine.
        """
        try:
            written_ns = take.layout.bodies(result).stat().st_mtime_ns
        except OSError:
            return None
        key = str(take.layout.root), result
        if key not in self._read or self._read[key][0] != written_ns:
            bodies = take.bodies(result)
            self._read[key] = written_ns, BodyMotion.of(load_body_model(bodies.model), bodies)
        return self._read[key][1]

    def clear(self) -> None:
        """Forget what was read, for another take."""
        self._read.clear()
