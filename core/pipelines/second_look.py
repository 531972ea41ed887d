"""Second look at people, as part of the verb `pose2d`.

The second look depends on the rig and is stored separately from the first pass, which does not. It is valid if the
manifest of the 2D poses has an entry with its inputs; else the first pass is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.files import read_yaml, sha256, write_yaml
from core.pose2d.cards import ModelCard
from core.pose2d.config import DEFAULT_LONG_SIDE_PX, SCALING_RUNNERS, InputChoice, Pose2DConfig
from core.pose2d.crop_refiner import INPUT_PX, PADDING, CropRefiner, weights_file
from core.progress import Reporter
from core.reconstruction.second_look import look_again
from core.reconstruction.triangulated import Triangulator
from core.session import Session, Take
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

REVISION = 1
"""Version of the algorithm; increase it when the same inputs give a different second look."""
LARGE_PERSON_PX = INPUT_PX / PADDING
"""Size of a person in the network input from which a crop would not show the person any larger."""


def second_look_expected(session: Session, take: Take, config: Pose2DConfig, choice: InputChoice | None) -> bool:
    """Return whether a second look is likely to follow the first pass, to estimate the total time.

    Args:
        session: Session with or without a rig.
        take: Take of the 2D poses.
        config: Settings.
        choice: Result of the probe; None with a fixed input size.
    """
    try:
        session.rig_for(take)
    except CoreError:
        return False
    if config.second_look != "auto" or choice is None or choice.person_px is None:
        return config.second_look != "off"
    return choice.person_px * choice.long_side_px / DEFAULT_LONG_SIDE_PX < LARGE_PERSON_PX


def update_second_look(
    session: Session, take: Take, model: ModelCard, config: Pose2DConfig, reporter: Reporter
) -> None:
    """Keep, compute or delete the second look according to settings, rig and first pass.

    Args:
        session: Session with the rig.
        take: Take with complete 2D poses of the model.
        model: Card of the estimator.
        config: Settings, with the input size of the first pass.
        reporter: Receives progress and notes, and cancels.

    Raises:
        CoreError: A video cannot be read.
        CancelledError: The job was cancelled; finished chunks are kept, and the first pass is complete.
    """
    first_pass = take.poses2d(model.name, first_pass=True)
    person_px = _person_px(take, first_pass, config.input_px)
    small = person_px < LARGE_PERSON_PX and model.runner in SCALING_RUNNERS
    wanted = config.second_look == "on" or (config.second_look == "auto" and small)
    rig = None
    if wanted:
        try:
            rig = session.rig_for(take)
        except CoreError as error:
            reporter.note(
                f"A second look at full resolution needs calibrated cameras. {error} Then run 2D poses again.",
                "warning" if config.second_look == "on" else "info",
            )
    if rig is None:
        _store(take, model, None)
        shutil.rmtree(take.layout.second_look(model.name), ignore_errors=True)
        return
    request = _request(take, model, rig)
    stored = take.poses2d_manifest(model.name).get("second_look") or {}
    if stored.get("request") == request and all(p.is_file() for p in take.poses2d_files(model.name).values()):
        reporter.note("The second look at these 2D poses is up to date.")
        return
    reporter.note(
        f"People are {person_px:.0f} px tall in the network's input: a second look at full resolution follows near the "
        "triangulated people (pose2d.second_look=off skips it)."
    )
    _make(take, model, config, rig, first_pass, request, reporter)


def _make(
    take: Take,
    model: ModelCard,
    config: Pose2DConfig,
    rig: CameraRig,
    first_pass: Mapping[str, Pose2D],
    request: dict[str, Any],
    reporter: Reporter,
) -> None:
    chunks = take.layout.second_look_chunks(model.name)
    prepared = chunks / "request.yaml"
    if not (prepared.is_file() and read_yaml(prepared) == request):
        shutil.rmtree(chunks, ignore_errors=True)
        write_yaml(prepared, request)
    turned = request["first_pass"]["turned_deg"]
    found = look_again(take, rig, first_pass, turned, CropRefiner(config.provider, threads=1), chunks, reporter)
    _store(take, model, None)  # invalidates the former one while it is overwritten
    for camera, poses in found.poses2d.items():
        poses.save(take.layout.second_look_file(model.name, camera))
    counts = {"images": found.images, "moved": found.moved, "added": found.added, "kept": found.kept}
    _store(take, model, {**counts, "request": request})
    shutil.rmtree(chunks)
    reporter.note(
        f"The second look at {found.images} images replaced {found.moved} joints and added {found.added}; {found.kept} "
        "were found in the first pass only and count half."
    )


def _store(take: Take, model: ModelCard, second_look: dict[str, Any] | None) -> None:
    """Write or remove the manifest entry that makes the second look valid."""
    manifest = take.poses2d_manifest(model.name)
    if manifest.get("second_look") != second_look:
        write_yaml(take.layout.poses2d_manifest(model.name), {**manifest, "second_look": second_look})


def _request(take: Take, model: ModelCard, rig: CameraRig) -> dict[str, Any]:
    """Return all values on which the second look depends."""
    return {
        "revision": REVISION,
        "network": sha256(weights_file()),
        "rig": rig.digest,
        **({"time_offset_s": take.clock_errors} if take.clock_errors else {}),
        "triangulator": to_mapping(Triangulator()),
        "first_pass": take.poses2d_manifest(model.name)["request"],
    }


def _person_px(take: Take, poses2d: Mapping[str, Pose2D], input_px: int) -> float:
    """Return the median size of people in px of the network input; infinite without people."""
    sizes = []
    for camera, poses in poses2d.items():
        box = poses.box_px[poses.present]
        sizes.append((box[:, 2:] - box[:, :2]).max(-1, initial=0.0) * input_px / max(take.camera(camera).size_px))
    every = np.concatenate(sizes)
    return float(np.median(every)) if len(every) else float("inf")
