"""Names of cameras by video file, of takes, and titles of 3D results."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.config import to_mapping
from core.disk import saying_why
from core.errors import CoreError
from core.files import read_json, read_yaml, write_json, write_yaml
from core.jobs.spec import JOB_FILE
from core.session.layout import BODY_SUFFIX, RunLayout
from core.session.store import BASELINE, Session, Take

_REMEDY = "Name the files after the cameras, or give the camera names in the order of the files."


def cameras_of_files(stems: Sequence[str], cameras: Sequence[str], what: str = "Video") -> list[str]:
    """Find the camera of each file.

    Case, punctuation and leading zeros are ignored: "GOPR_Cam1_take2" matches camera "cam01". Either name may contain
    the other, but numbers match only as a whole: "cam10" does not contain "cam1".

    Args:
        stems: File names without suffix.
        cameras: Camera names.
        what: Kind of file, for messages.

    Returns:
        Distinct camera name of each file.

    Raises:
        CoreError: A file matches no camera or several, or two files match the same camera.
    """
    own_parts = dict(zip(stems, _distinguishing(stems), strict=True))
    own_cameras = dict(zip(cameras, _distinguishing(cameras), strict=True))
    matched: list[str] = []
    for stem in stems:
        ranked = {camera: _rank(stem, camera) for camera in cameras}
        best = max(ranked.values(), default=(0, 0))
        candidates = [camera for camera, rank in ranked.items() if rank == best and rank[0] > 0]
        if len(candidates) > 1:
            # "take1_cam2" contains both "1" and "2": only the part that differs between files counts.
            part = _plain(own_parts[stem])
            candidates = [c for c in candidates if part in (_plain(c), _plain(own_cameras[c]))] or candidates
        if len(candidates) != 1:
            known = ", ".join(candidates or cameras)
            matches = "matches several cameras" if candidates else "matches no camera of the rig"
            raise CoreError(f"{what} '{stem}' {matches} ({known}).", _REMEDY)
        if candidates[0] in matched:
            other = stems[matched.index(candidates[0])]
            raise CoreError(f"{what} '{other}' and '{stem}' both match camera {candidates[0]}.", _REMEDY)
        matched.append(candidates[0])
    return matched


def may_match(stem: str, cameras: Sequence[str]) -> bool:
    """Return whether a file name matches any camera by the rules of `cameras_of_files`."""
    return any(_rank(stem, camera)[0] > 0 for camera in cameras)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts "cam2" before "cam10"."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name.casefold())]


def image_numbers(names: Sequence[str], where: str) -> list[int]:
    """Return the image number in each name, such as 30 in "cam01.0030" and 7 in "walk_000007_keypoints".

    Of several numbers in a name, the one with the most distinct values counts; among equals, the last one.

    Raises:
        CoreError: A name has no number.
    """
    found = [re.findall(r"\d+", name) for name in names]
    bare = next((name for name, digits in zip(names, found, strict=True) if not digits), None)
    if bare is not None:
        raise CoreError(f"{where}: the name {bare} contains no image number.", "Number the images in their names.")
    counts = {len(digits) for digits in found}
    if len(counts) > 1:
        return [_integer(digits[-1]) for digits in found]
    groups = range(counts.pop() if counts else 0)
    distinct = {group: len({digits[group] for digits in found}) for group in groups}
    best = max(groups, key=lambda group: (distinct[group], group), default=-1)
    return [_integer(digits[best]) for digits in found]


def _integer(digits: str) -> int:
    """Return a string of digits as a number; only the last 15 digits count."""
    return int(digits[-15:])


def _rank(stem: str, camera: str) -> tuple[int, int]:
    """Return the rank of a match (3 equal, 2 camera within file, 1 file within camera, 0 none) and its length."""
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
    """Normalise a name: lower case, no leading zeros, and no punctuation except between numbers."""
    tokens = re.findall(r"\d+|[^\W\d_]+", text.casefold())
    plain = [str(int(token)) if token.isdigit() else token for token in tokens]
    return "".join(
        f"_{token}" if i and token[0].isdigit() and plain[i - 1][-1].isdigit() else token
        for i, token in enumerate(plain)
    )


def _within(part: str, whole: str) -> bool:
    """Return whether `whole` contains `part` without splitting a number."""
    before = r"(?<!\d)" if part[0].isdigit() else ""
    after = r"(?!\d)" if part[-1].isdigit() else ""
    return re.search(before + re.escape(part) + after, whole) is not None


def _distinguishing(names: Sequence[str]) -> list[str]:
    """Return the names without common prefix and suffix; numbers are not split."""
    if len(names) < 2:
        return list(names)
    head = re.sub(r"\d+$", "", _common_start(names))
    tail = re.sub(r"^\d+", "", _common_start([name[len(head) :][::-1] for name in names])[::-1])
    return [name[len(head) : len(name) - len(tail)] or name for name in names]


def _common_start(names: Sequence[str]) -> str:
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same)


_RUN = re.compile(r"(\d{8}-\d{6})\b")


def given_title(take: Take, name: str) -> str:
    """Return the user's title of a result; empty if there is none."""
    title = _titles(take).get(name, "")
    return title if isinstance(title, str) else ""


def give_title(take: Take, name: str, title: str) -> None:
    """Set the title of a result; an empty one removes it.

    Raises:
        CoreError: The take cannot be written.
    """
    titles = {key: value for key, value in _titles(take).items() if key != name}
    if title.strip():
        titles[name] = title.strip()
    try:
        write_yaml(_file(take), titles)
    except OSError as error:
        raise CoreError(
            f"{_file(take)} cannot be written: {error.strerror}.", "Check that you may write to the session."
        ) from error


def result_slug(name: str) -> str:
    """Return a result's name for file names, such as "baseline", "fast" or "trained_20261130-140300"."""
    match = _RUN.match(name)
    body = BODY_SUFFIX if fitted_result(name) else ""
    return f"trained_{match[1]}{body}" if match and name != BASELINE else name


def body_result(name: str) -> str:
    """Return the name of the 3D result with the joints of bodies fitted to a result."""
    return name + BODY_SUFFIX


def fitted_result(name: str) -> str:
    """Return the result to which bodies were fitted, given that of their joints; empty for other results."""
    return name.removesuffix(BODY_SUFFIX) if name.endswith(BODY_SUFFIX) else ""


def files_of_result(take: Take, name: str) -> list[Path]:
    """Return the files of a result, including its bodies and their joints."""
    names = [name] if fitted_result(name) else [name, body_result(name)]
    files = [*(take.layout.poses3d(n) for n in names), take.layout.bodies(name)]
    return [file for file in files if file.is_file()] or [take.layout.poses3d(name)]


def rename_take(session: Session, old: str, new: str) -> None:
    """Rename a take, also in the settings of its jobs, so that they can be resumed.

    Raises:
        CoreError: There is no such take, the new name is taken, or the disk cannot be written.
    """
    take, layout = session.take(old), session.layout.take(new)
    if layout.root.exists():
        raise CoreError(f"{layout.root} exists already.", "Choose another name, or move it away.")
    with saying_why(take.layout.root):
        take.layout.root.rename(layout.root)
        write_yaml(layout.manifest, to_mapping(dataclasses.replace(take.manifest, name=new)))
        for run in session.runs():
            _rename_in_run(run, old, new)


def _rename_in_run(run: RunLayout, old: str, new: str) -> None:
    """Rename a take in the settings and inputs of a job; damaged files are left unchanged."""
    job = _mapping(run.root / JOB_FILE)
    if (params := _renamed(job.get("params"), old, new)) is not None:
        write_json(run.root / JOB_FILE, job | {"params": params})
    if (settings := _renamed(_mapping(run.config), old, new)) is not None:
        write_yaml(run.config, settings)
    inputs = _mapping(run.inputs)
    if isinstance(digests := inputs.get("poses2d"), Mapping) and old in digests:
        named = {new if name == old else name: digest for name, digest in digests.items()}
        write_yaml(run.inputs, inputs | {"poses2d": named})


def _renamed(settings: object, old: str, new: str) -> dict[str, Any] | None:
    """Return the settings of a job with a take renamed; None if they do not contain it."""
    if not isinstance(settings, Mapping):
        return None
    changed = dict(settings)
    if changed.get("take") == old:
        changed["take"] = new
    if isinstance(takes := changed.get("takes"), Sequence) and not isinstance(takes, str):
        changed["takes"] = [new if take == old else take for take in takes]
    return changed if changed != dict(settings) else None


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = (read_json if file.suffix == ".json" else read_yaml)(file) if file.is_file() else {}
    except CoreError:
        return {}
    return content if isinstance(content, dict) else {}


def _titles(take: Take) -> dict[str, object]:
    try:
        titles = read_yaml(_file(take)) if _file(take).is_file() else {}
    except CoreError:
        return {}  # damaged: no titles
    return titles if isinstance(titles, dict) else {}


def _file(take: Take) -> Path:
    return take.layout.poses3d_root / "titles.yaml"
