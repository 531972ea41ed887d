"""Which camera a video file belongs to, from its name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from core.errors import CoreError

_REMEDY = "Rename the files after the cameras, or give the camera names in the order of the files."


def cameras_of_files(stems: Sequence[str], cameras: Sequence[str]) -> list[str]:
    """Finds each file's camera.

    Case, punctuation and leading zeros do not count: "GOPR_Cam1_take2" is camera "cam01". The camera's name may be part
    of the file's or the reverse, but never cuts through a number: "cam1" is not in "cam10".

    Args:
        stems: File names without suffix.
        cameras: Names to match them with.

    Returns:
        A camera name per file, all different.

    Raises:
        CoreError: A file that matches no camera or several, or two files of one camera.
    """
    own_parts = dict(zip(stems, _distinguishing(stems), strict=True))
    own_cameras = dict(zip(cameras, _distinguishing(cameras), strict=True))
    found: list[str] = []
    for stem in stems:
        ranked = {camera: _rank(stem, camera) for camera in cameras}
        best = max(ranked.values(), default=(0, 0))
        candidates = [camera for camera, rank in ranked.items() if rank == best and rank[0] > 0]
        if len(candidates) > 1:
            # "take1_cam2" holds both of the cameras "1" and "2": what sets it apart from the other files decides.
            part = _plain(own_parts[stem])
            candidates = [c for c in candidates if part in (_plain(c), _plain(own_cameras[c]))] or candidates
        if len(candidates) != 1:
            known = ", ".join(candidates or cameras)
            what = "could belong to several cameras" if candidates else "matches no camera of the rig"
            raise CoreError(f"Video '{stem}' {what} ({known}).", _REMEDY)
        if candidates[0] in found:
            other = stems[found.index(candidates[0])]
            raise CoreError(f"Videos '{other}' and '{stem}' both belong to camera {candidates[0]}.", _REMEDY)
        found.append(candidates[0])
    return found


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts "cam2" before "cam10"."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name.casefold())]


def _rank(stem: str, camera: str) -> tuple[int, int]:
    """How well two names agree: 3 equal, 2 camera within file, 1 file within camera, 0 not; then by matched length."""
    a, b = _plain(stem), _plain(camera)
    if not a or not b:
        return 0, 0
    if a == b:
        return 3, len(b)
    if _within(b, a):
        return 2, len(b)
    if _within(a, b):
        return 1, len(a)
    return 0, 0


def _plain(text: str) -> str:
    """Lower case, numbers without leading zeros, other characters dropped except between two numbers."""
    tokens = re.findall(r"\d+|[^\W\d_]+", text.casefold())
    plain = [str(int(token)) if token.isdigit() else token for token in tokens]
    return "".join(
        f"_{token}" if i and token[0].isdigit() and plain[i - 1][-1].isdigit() else token
        for i, token in enumerate(plain)
    )


def _within(part: str, whole: str) -> bool:
    """Whether `part` occurs in `whole` without cutting through a number."""
    before = r"(?<!\d)" if part[0].isdigit() else ""
    after = r"(?!\d)" if part[-1].isdigit() else ""
    return re.search(before + re.escape(part) + after, whole) is not None


def _distinguishing(names: Sequence[str]) -> list[str]:
    """Each name without what all of them begin and end with; a shared beginning is not cut inside a number."""
    if len(names) < 2:
        return list(names)
    head = re.sub(r"\d+$", "", _common_start(names))
    tail = re.sub(r"^\d+", "", _common_start([name[len(head) :][::-1] for name in names])[::-1])
    return [name[len(head) : len(name) - len(tail)] or name for name in names]


def _common_start(names: Sequence[str]) -> str:
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same)
