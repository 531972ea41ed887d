"""Cameras of a session: those in use, and all earlier ones, so that a camera keeps its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.capture.source import parse_camera
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, safe_name, write_yaml
from core.passwords import keep_passwords
from core.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCameras:
    """Cameras of a session, each written "name=address".

    Attributes:
        used: Cameras in use, in order.
        known: All cameras that the session has ever used, the latest last.
    """

    used: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def with_added(self, addresses: Iterable[str], names: Iterable[str] = ()) -> SessionCameras:
        """Return the cameras with others added; addresses already in use are skipped.

        A camera without a given name gets its earlier name in this session, or else the first free one.

        Args:
            addresses: Cameras as an address or as "name=address".
            names: Preferred names for new cameras, such as those of the rig.
        """
        used, preferred = list(self.used), list(names)
        for text in keep_passwords(list(addresses)):
            name, address = parse_camera(text)
            by_name = dict(map(parse_camera, used))
            if address in by_name.values():
                continue
            earlier = {at: old for old, at in map(parse_camera, self.known)}
            numbers = (f"cam{number:02d}" for number in range(1, 1000))
            taken = set(by_name) | (set(earlier.values()) - set(preferred))
            proposed = [name, earlier.get(address, "")]
            free = next((one for one in proposed if one and one not in by_name), "")
            name = free or next(one for one in (*preferred, *numbers) if one not in taken)
            used.append(f"{name}={address}")
        return self._with_used(used)

    def without(self, name: str) -> SessionCameras:
        """Return the cameras without one of those in use; its name is remembered."""
        return replace(self, used=tuple(one for one in self.used if parse_camera(one)[0] != name))

    def renamed(self, old: str, new: str) -> SessionCameras:
        """Return the cameras with one of them renamed.

        Raises:
            CoreError: The name is invalid or taken.
        """
        plain = safe_name(new)
        if parse_camera(f"{plain}=x")[0] != plain:
            raise CoreError(f"A camera cannot be named '{new}'.", "Use letters, digits, - and _.")
        if plain != old and plain in dict(map(parse_camera, self.used)):
            raise CoreError(f"Another camera is named '{plain}'.", "Choose another name.")
        return self._with_used(f"{plain}={at}" if name == old else f"{name}={at}" for name, at in self._pairs())

    def _pairs(self) -> list[tuple[str, str]]:
        return [parse_camera(one) for one in self.used]

    def _with_used(self, used: Iterable[str]) -> SessionCameras:
        used = tuple(used)
        names, addresses = zip(*map(parse_camera, used), strict=True) if used else ((), ())
        others = [(n, a) for n, a in map(parse_camera, self.known) if n not in names and a not in addresses]
        return SessionCameras(used=used, known=(*(f"{name}={at}" for name, at in others), *used))


def read_cameras(session: Session) -> SessionCameras | None:
    """Read the cameras of a session; None if none have been chosen, or the file is damaged."""
    try:
        return from_mapping(SessionCameras, read_yaml(session.layout.cameras) or {})
    except CoreError:
        return None


def save_cameras(session: Session, cameras: SessionCameras) -> None:
    """Store the cameras of a session.

    Raises:
        CoreError: The session cannot be written.
    """
    write_yaml(session.layout.cameras, to_mapping(cameras))
