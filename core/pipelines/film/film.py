"""Verb `film`: rendering of people in 3D and over the videos to an MP4 file."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.pipelines.film.parts import FilmTile, FilmView
from core.pipelines.film.people import FilmedPeople, read_motion
from core.pipelines.film.writer import film_writer
from core.pipelines.params import FilmParams
from core.pipelines.results.chosen import chosen_result
from core.progress import Reporter, track
from core.rendering.colours import VIEW_COLOURS, rgb
from core.rendering.tiles import Place, beside, fitted, tile
from core.session import RunLayout, Session, Take, Timeline
from core.session.align import shown_timeline
from core.session.calibrations import former_rig
from core.session.exports.manifest import begin_export, export_stem, finish_export
from core.session.footage.images import CameraImages, DamagedImages
from core.session.inputs import UPDATE, bodies_id, result_id
from core.types import CameraRig, Pose3DSequence
from core.types.arrays import F64

_GAP_PX = 8  # at 1080 px
_MOST_FPS, _FEWEST_PX, _MOST_PX = 30.0, 180, 2160
_MOST_RATE = 240.0


def run_film(session: Session, params: FilmParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Write a film of a take with the 3D view, and the videos with the people drawn over them.

    Returns:
        `poses`, `film`, `seconds`, `frames`, and `manifest`, which is written last.

    Raises:
        CoreError: Take, result or camera is unknown, settings are out of range, there is no calibration for the videos,
            or the folder cannot be written.
    """
    take = session.take(params.take)
    name = chosen_result(session, take, params.poses, reporter)
    poses = take.poses3d(name)
    motion = read_motion(take, name, params.figures, reporter)
    rig = _rig(session, take, poses) if params.layout != "view" else None
    timeline = shown_timeline(take.timeline(), rig)
    size_px = _size_px(params.height_px)
    times_s, fps = _times(timeline, take.manifest.fps, params)
    colours = VIEW_COLOURS[params.theme]
    people = FilmedPeople(poses, motion, colours)
    folder = Path(params.folder).expanduser().absolute() if params.folder else session.layout.exports
    path = folder / f"{export_stem(take.name, name)}_{params.layout}.mp4"
    damaged = DamagedImages()
    with ExitStack() as closing:
        tiles = [] if rig is None else _open(take, rig, timeline, params.cameras, damaged, closing)
        view, boxes = _places(params, size_px, [t.shape for t in tiles])
        for one, box in zip(tiles, boxes, strict=True):
            one.place = fitted(one.shape, box)
        viewer = FilmView(poses, params, colours, _centres_mm(session, rig, take), view) if view is not None else None
        begin_export(folder, take.name, name, params.layout)
        pool = closing.enter_context(ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))))
        with film_writer(path, size_px, fps) as writer:
            for time_s in track(times_s.tolist(), reporter, f"Filming {take.name}"):
                frame = int(np.searchsorted(timeline.time_s, time_s + 1e-6, side="right")) - 1
                surface = people.surface(float(timeline.time_s[frame]))
                image = np.empty((size_px[1], size_px[0], 3), np.uint8)
                image[:] = np.rint(255 * rgb(colours.background))
                drawn = [pool.submit(one.draw, image, frame, surface, colours) for one in tiles]
                if viewer is not None:
                    trails = people.trails(time_s) if params.trails else None
                    viewer.draw(image, time_s - times_s[0], surface, trails)
                for done in drawn:
                    done.result()
                writer.add(image)
    damaged.report(reporter)
    digest = str(poses.provenance.get("rig", "")) or (rig.digest if rig is not None else "")
    bodies = bodies_id(take, name) if motion is not None else ""
    manifest = finish_export(folder, take.name, name, digest, [path], result_id(take, name), bodies, kind=params.layout)
    seconds = len(times_s) / fps
    reporter.note(f"{path.name}: {seconds:.1f} s, {size_px[0]}x{size_px[1]} at {fps:g} frames per second.")
    return {
        "poses": name,
        "film": str(path),
        "seconds": round(seconds, 3),
        "frames": len(times_s),
        "manifest": str(manifest),
    }


def _rig(session: Session, take: Take, poses: Pose3DSequence) -> CameraRig:
    """Return the cameras of the result, since people of one rig do not fit images of another.

    Raises:
        CoreError: The cameras are unknown.
    """
    rig, digest = session.rig_for(take), str(poses.provenance.get("rig", ""))
    if digest and rig.digest != digest:
        former = former_rig(session, take, digest)
        if former is None:
            raise CoreError(
                "The 3D poses were made with a calibration that no longer exists: they do not fit the videos.",
                f"{UPDATE} Or film the 3D view alone, with --layout view.",
            )
        return former
    return rig


def _centres_mm(session: Session, rig: CameraRig | None, take: Take) -> F64:
    """Return the known camera centres (V, 3)."""
    try:
        cameras = rig or session.rig_for(take)
    except CoreError:
        return np.zeros((0, 3))  # no cameras to avoid
    return np.array([camera.centre_mm for camera in cameras if camera.posed]).reshape(-1, 3)


def _open(
    take: Take,
    rig: CameraRig,
    timeline: Timeline,
    chosen: tuple[str, ...],
    damaged: DamagedImages,
    closing: ExitStack,
) -> list[FilmTile]:
    """Open the videos of the chosen cameras, or of all if none are chosen.

    Raises:
        CoreError: A camera is unknown or has no pose, or a video cannot be read.
    """
    names = chosen or tuple(name for name in take.cameras if name in rig.names and rig[name].posed)
    tiles = []
    for name in dict.fromkeys(names):
        if name not in rig.names or not rig[name].posed:
            raise CoreError(f"Camera {name} has no pose.", "Calibrate it, or omit it.")
        images = closing.enter_context(CameraImages(take, name, damaged))
        tiles.append(
            FilmTile(rig[name], images, timeline.frame_index[:, timeline.cameras.index(name)], Place(0, 0, 1, 1))
        )
    if not tiles:
        raise CoreError("No camera of the take has a pose.", "Calibrate the cameras, or film with --layout view.")
    return tiles


def _places(
    params: FilmParams, size_px: tuple[int, int], shapes: list[tuple[int, int]]
) -> tuple[Place | None, list[Place]]:
    """Return the tile of the 3D view, if it is shown, and those of the videos."""
    whole, gap = Place(0, 0, *size_px), max(2, round(_GAP_PX * size_px[1] / 1080))
    if params.layout == "view":
        return whole, []
    if params.layout == "videos":
        return None, tile(whole, shapes, gap)
    return beside(size_px, shapes, gap)


def _size_px(height_px: int) -> tuple[int, int]:
    """Return the width and height, which encoders need to be even.

    Raises:
        CoreError: The height is out of range.
    """
    if not _FEWEST_PX <= height_px <= _MOST_PX:
        raise CoreError(
            f"A film of {height_px} px height cannot be made.", f"Choose a height from {_FEWEST_PX} to {_MOST_PX}."
        )
    return 2 * round(height_px * 8 / 9), 2 * round(height_px / 2)


def _times(timeline: Timeline, rate: float, params: FilmParams) -> tuple[F64, float]:
    """Return the times (N,) of the film's frames in the take, and the frame rate.

    Raises:
        CoreError: Start, end, frame rate or rotation period is out of range.
    """
    times = timeline.time_s
    fps = params.fps or rate / max(1, round(rate / _MOST_FPS))
    end_s = params.end_s or float(times[-1]) + 1 / rate
    if not 0 <= params.start_s < end_s or params.start_s > times[-1]:
        raise CoreError(
            f"The part from {params.start_s:g} to {end_s:g} s is not in the take, which lasts {times[-1]:.3f} s.",
            "Choose a start before the end, both within the take.",
        )
    if not 0 < fps <= _MOST_RATE or params.turn_s < 0:
        raise CoreError(
            f"A frame rate of {fps:g} or a rotation in {params.turn_s:g} s is not possible.",
            f"Choose a rate up to {_MOST_RATE:g} frames per second, and a rotation time of 0 or more.",
        )
    count = max(1, round((min(end_s, float(times[-1]) + 1 / rate) - params.start_s) * fps))
    return np.minimum(params.start_s + np.arange(count) / fps, times[-1]), float(fps)
