"""From files of other programs to the 2D poses of a take, with everything that had to be assumed or left out said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import CoreError
from core.pose2d.importers.anatomy import choose_joint_set, stretch
from core.pose2d.importers.coordinates import (
    Doubt,
    Reading,
    choose_readings,
    possible_readings,
    smaller_images,
    stated_reading,
)
from core.pose2d.importers.importer import CameraPeople, Pose2DImporter
from core.pose2d.importers.joint_sets import JOINT_SETS, JointSet, joint_set, joints_by_name
from core.pose2d.importers.numbering import coverage_notes, first_numbers
from core.pose2d.importers.people import Faults, merge_people, stack_people, to_coco17
from core.pose2d.importers.sources import PoseSource, find_sources, read_source
from core.progress import Reporter, track
from core.session.naming import cameras_of_files, may_match
from core.session.store import Take
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import COCO17

_MIN_NAMED = 8  # fewest joints of COCO-17 that names must describe


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user states about poses to import; see `core.pipelines.params.ImportPoses2DParams`."""

    path: Path
    format: str = "auto"
    joints: str = ""
    image_size: str = ""
    rotation: int | None = None
    first_image: int | None = None
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPoses:
    """2D poses of a take that were read from files.

    Attributes:
        importer: The format.
        joints: Joint set of the files.
        poses2d: 2D poses by camera, in COCO-17.
    """

    importer: Pose2DImporter
    joints: JointSet
    poses2d: Mapping[str, Pose2D]


def import_people(take: Take, rig: CameraRig | None, options: ImportOptions, reporter: Reporter) -> ImportedPoses:
    """Read the 2D poses of all cameras of a take, and report what is assumed and what is left out.

    Args:
        take: The take.
        rig: Its cameras, which decide how coordinates are read; None without a calibration.
        options: What the user states.
        reporter: Receives progress and notes.

    Raises:
        CoreError: A camera has no poses, or the files are damaged or cannot be understood.
    """
    sources = _sources_by_camera(take, options, reporter)
    read, importers = {}, {}
    for camera in track(take.cameras, reporter, "Reading 2D poses"):
        importers[camera], read[camera] = read_source(sources[camera], options.format)
    importer = importers[take.cameras[0]]
    joints = _joint_set(read, options.joints, reporter)
    frames, faults = _frames(take, sources, read, joints, options, reporter)
    readings = _readings(take, rig, read, frames, options, reporter)
    poses2d = {}
    for camera, in_frame in frames.items():
        own = faults[camera]
        merged = [merge_people([readings[camera].apply(p) for p in people], own) for people in in_frame]
        poses2d[camera] = stack_people(camera, COCO17, merged)
        for sentence in own.sentences(camera):
            reporter.note(sentence, "warning")
    empty = [camera for camera, poses in poses2d.items() if not poses.present.any()]
    if empty:
        reporter.note(f"There are no people in the poses of {', '.join(empty)}.", "warning")
    return ImportedPoses(importer=importer, joints=joints, poses2d=poses2d)


def _sources_by_camera(take: Take, options: ImportOptions, reporter: Reporter) -> dict[str, PoseSource]:
    """Return the file or folder of each camera of the take, matched by name or by the user."""
    found, left_out = find_sources(options.path)
    names = [source.name for source in found]
    if options.cameras:
        if len(options.cameras) != len(found):
            raise CoreError(
                f"{len(options.cameras)} cameras were named for {len(found)} folders or files ({', '.join(names)}).",
                "Name a camera for each, in this order.",
            )
        owners = list(options.cameras)
    elif len(take.cameras) == len(found) == 1:
        owners = list(take.cameras)
    elif options.path.is_file() and len(found) == 1:
        owners = []
    else:
        strangers = [source.name for source in found if not may_match(source.name, take.cameras)]
        if len(strangers) < len(found):
            found = [source for source in found if source.name not in strangers]
            left_out += strangers
        owners = cameras_of_files([source.name for source in found], take.cameras, "2D poses")
    missing = [camera for camera in take.cameras if camera not in owners]
    if missing and options.path.is_file() and len(found) == 1:
        importer, _ = read_source(found[0], options.format)
        raise CoreError(
            f"{options.path.name} is a file with the 2D poses of one camera ({importer.title}), but take {take.name} "
            f"has {len(take.cameras)} cameras.",
            "Choose the folder with a file or folder for each camera, named after it.",
        )
    if missing:
        raise CoreError(
            f"{options.path} has no 2D poses of camera {missing[0]}: it has {', '.join(names)}.",
            "Name a folder or file after each camera, or state the cameras in this order with --cameras.",
        )
    if left_out:
        more = f" and {len(left_out) - 8} more" if len(left_out) > 8 else ""
        reporter.note(f"Not used in {options.path.name}: {', '.join(left_out[:8])}{more}.", "warning")
    by_camera = dict(zip(owners, found, strict=True))
    for camera, source in by_camera.items():
        _check_file_names(camera, source, take.cameras, reporter)
    return by_camera


def _check_file_names(camera: str, source: PoseSource, cameras: Sequence[str], reporter: Reporter) -> None:
    """Warn if the files of a camera are named after another one."""
    if source.container != "folder" or source.prefix is not None:
        return
    first = source.files[0].stem
    others = [c for c in cameras if re.search(rf"(?<![A-Za-z0-9]){re.escape(c)}(?![A-Za-z0-9])", first)]
    if others and camera not in others:
        reporter.note(
            f"The poses in {source.path.name} are used for {camera}, but the files are named after {others[0]} "
            f"({source.files[0].name}): check that they are of the right camera.",
            "warning",
        )


def _joint_set(read: Mapping[str, CameraPeople], name: str, reporter: Reporter) -> JointSet:
    """Return the joint set of all cameras: as named by the user or by the files, or by anatomy."""
    persons = [person for camera in read.values() for person in camera.persons]
    sizes = {len(camera.persons[0]): c for c, camera in read.items() if camera.persons}
    if len(sizes) > 1:
        counts = ", ".join(f"{size} ({camera})" for size, camera in sizes.items())
        raise CoreError(f"People have different numbers of joints: {counts}.", "Use one joint set for all cameras.")
    size = next(iter(sizes), 0)
    if name:
        chosen = joint_set(name)
        if size and size != len(chosen.joints):
            raise CoreError(
                f"People have {size} joints, but {chosen.title} has {len(chosen.joints)}.", _joint_sets_text(size)
            )
        _check_bodies(persons, chosen, reporter)
        return chosen
    named = {camera.joints for camera in read.values() if camera.joints}
    if len(named) > 1:
        raise CoreError("The files of the cameras name different joints.", "Use one joint set for all cameras.")
    if named:
        return _by_name(named.pop(), reporter)
    if not size:
        return JOINT_SETS["coco17"]
    choice = choose_joint_set(persons, size)
    if choice is None:
        raise CoreError(f"People have {size} joints; no known joint set has that number.", _joint_sets_text(size))
    if not choice.forms_bodies:
        raise CoreError(
            f"The {size} joints do not form bodies in the order of {choice.joints.title}: bones are "
            f"{choice.stretch:.1f} times as long as lines between the joints need to be.",
            f"If they are in this order all the same, state --joints {choice.joints.name}. {_joint_sets_text(size)}",
        )
    title = choice.joints.title
    if choice.others:
        others = ", ".join(other.name for other in choice.others)
        why = "anatomy does not tell them apart" if choice.measured else "there are too few people to tell"
        reporter.note(
            f"The joints are taken as {title}; they may be those of {others} ({why}): see --joints.", "warning"
        )
    else:
        why = "by anatomy" if choice.measured else "by their number; too few people to check it"
        reporter.note(f"The {size} joints of each person are those of {title} ({why}).")
    _note_lacking(choice.joints, reporter)
    return choice.joints


def _by_name(names: Sequence[str], reporter: Reporter) -> JointSet:
    joints = joints_by_name(names)
    used = [name for name, joint in zip(names, joints.joints, strict=True) if joint in COCO17.joints]
    others = [name for name in names if name not in used]
    if len(used) < _MIN_NAMED:
        raise CoreError(
            f"Only {len(used)} joints have names of a person's joints; the others are {', '.join(others[:12])}.",
            "Name them by side and part, such as left_knee, or state the joint set with --joints.",
        )
    unused = f"; not used are {', '.join(others[:12])}{' …' if len(others) > 12 else ''}" if others else ""
    reporter.note(f"{len(used)} joints were recognised by their names{unused}.")
    _note_lacking(joints, reporter)
    return joints


def _note_lacking(joints: JointSet, reporter: Reporter) -> None:
    if joints.lacking:
        reporter.note(f"They lack {', '.join(joints.lacking).replace('_', ' ')}, which stay missing.", "warning")


def _check_bodies(persons: Sequence[F64], joints: JointSet, reporter: Reporter) -> None:
    choice = choose_joint_set(persons, len(joints.joints))
    if choice is not None and choice.forms_bodies and choice.joints != joints and choice.joints not in choice.others:
        own = stretch(persons, joints)
        if own > 1.3 * choice.stretch:
            reporter.note(
                f"The joints do not form bodies in the order of {joints.title}; in that of {choice.joints.title} they "
                f"do (--joints {choice.joints.name}).",
                "warning",
            )


def _joint_sets_text(size: int) -> str:
    fitting = [s.name for s in JOINT_SETS.values() if len(s.joints) == size]
    if fitting:
        return f"Joint sets of {size} joints are {', '.join(fitting)}."
    known = ", ".join(f"{s.name} ({len(s.joints)})" for s in JOINT_SETS.values())
    return f"Known joint sets are {known}; other joints must be named in the file."


def _frames(
    take: Take,
    sources: Mapping[str, PoseSource],
    read: Mapping[str, CameraPeople],
    joints: JointSet,
    options: ImportOptions,
    reporter: Reporter,
) -> tuple[dict[str, list[list[F64]]], dict[str, Faults]]:
    """Return the people (17, 3) of each frame of the take, by camera."""
    timeline = take.timeline()
    n_images = {camera.name: camera.n_frames for camera in take.manifest.cameras}
    first, notes = first_numbers({c: p.people.keys() for c, p in read.items()}, n_images, options.first_image)
    frames, faults = {}, {}
    for v, camera in enumerate(take.cameras):
        by_number = {number - first[camera]: people for number, people in read[camera].people.items()}
        index = timeline.frame_index[:, v].tolist()
        sparse = sources[camera].container != "folder"
        notes += coverage_notes(camera, by_number, index, n_images[camera], sparse=sparse)
        notes += read[camera].notes
        faults[camera] = Faults()
        frames[camera] = [
            to_coco17(by_number.get(number, []) if number >= 0 else [], joints, faults[camera]) for number in index
        ]
    for note in notes:
        reporter.note(note, "warning")
    return frames, faults


def _readings(
    take: Take,
    rig: CameraRig | None,
    read: Mapping[str, CameraPeople],
    frames: Mapping[str, list[list[F64]]],
    options: ImportOptions,
    reporter: Reporter,
) -> dict[str, Reading]:
    """Return how the coordinates of each camera are converted to pixels of its images."""
    size = _size(options.image_size)
    readings: dict[str, list[Reading]] = {}
    doubts: dict[str, Doubt] = {}
    for camera in take.manifest.cameras:
        target = (float(camera.size_px[0]), float(camera.size_px[1]))
        stated = stated_reading(target, size or read[camera.name].size_px, options.rotation)
        found, doubt = possible_readings(target, frames[camera.name])
        if stated is not None and not found[0].unit:
            found, doubt = [stated], None
        readings[camera.name] = found
        if doubt is not None:
            doubts[camera.name] = doubt
    chosen = choose_readings(readings, frames, rig) if rig is not None else None
    if chosen is None:
        chosen = {camera: found[0] for camera, found in readings.items()}
        _report_doubts(doubts, reporter)
        smaller = smaller_images([(r[0].target_px, frames[c]) for c, r in readings.items()])
        if smaller is not None and not doubts and all(reading.plain for reading in chosen.values()):
            reporter.note(f"{smaller.message}. {smaller.remedy}", "warning")
    changed: dict[str, list[str]] = {}
    for name, reading in chosen.items():
        if not reading.plain:
            changed.setdefault(reading.text, []).append(name)
    for text, cameras in changed.items():
        by_rig = ", since the cameras then agree" if any(len(readings[c]) > 1 for c in cameras) else ""
        reporter.note(f"The coordinates of {', '.join(cameras)} are taken as {text}{by_rig}.", "warning")
    return chosen


def _report_doubts(doubts: Mapping[str, Doubt], reporter: Reporter) -> None:
    """Report doubts about coordinates.

    Raises:
        CoreError: Coordinates cannot belong to the images.
    """
    impossible = next(((c, d) for c, d in doubts.items() if d.impossible), None)
    if impossible is not None:
        camera, doubt = impossible
        raise CoreError(f"{camera}: {doubt.message}.", doubt.remedy)
    texts: dict[tuple[str, str], list[str]] = {}
    for camera, doubt in doubts.items():
        texts.setdefault((doubt.message, doubt.remedy), []).append(camera)
    for (message, remedy), cameras in texts.items():
        if message:
            reporter.note(f"{', '.join(cameras)}: {message}. {remedy}", "warning")


def _size(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×,]\s*(\d{1,5})\s*", text)
    if match is None or not int(match[1]) or not int(match[2]):
        raise CoreError(f"The image size '{text}' is no width and height.", "Write it as 960x540.")
    return float(match[1]), float(match[2])
