"""Ground truth for recordings of the demo room: its rig, and the joints of the people in each take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from core.capture.sources.demo import room_camera_name
from core.pipelines.rig.adopt import adopt_rig
from core.progress import Reporter
from core.session import RunLayout, Session, Take
from core.session.times_table import read_image_times
from core.types.camera import CameraRig


def adopt_demo_rig(session: Session, addresses: Mapping[str, str], run: RunLayout, reporter: Reporter) -> None:
    """Adopt the exact rig of the demo room if the session has no rig and all its cameras are in the room.

    Args:
        session: Session of the recording.
        addresses: Address by camera name.
        run: Run of the recording.
        reporter: Receives notes.
    """
    in_room = {name: room_camera_name(address) for name, address in addresses.items()}
    if session.layout.rig.exists() or not all(in_room.values()):
        return
    from core.synthetic.rendering.scene import room_rig

    room = room_rig()
    if not set(in_room.values()) <= set(room.names):
        return  # reported when the cameras are opened
    cameras = tuple(room[camera].replace(name=name) for name, camera in in_room.items())
    adopt_rig(session, CameraRig(cameras=cameras, source=room.source), run, reporter)


def save_demo_truth(take: Take, addresses: Mapping[str, str]) -> None:
    """Write the exact joints of the people into a take of the demo room; takes of other cameras are left unchanged."""
    if not all(room_camera_name(addresses.get(camera.name, "")) for camera in take.manifest.cameras):
        return
    from core.synthetic.rendering.scene import room_people

    timeline = take.timeline()
    started_s = np.full(timeline.frame_index.shape, np.nan)
    for v, name in enumerate(timeline.cameras):
        times, index = read_image_times(take.layout.frame_times(name)), timeline.frame_index[:, v]
        row = np.searchsorted(times.index, index).clip(0, len(times) - 1)
        started_s[:, v] = np.where(index >= 0, times.source_time_ns[row] / 1e9, np.nan)
    # Clocks of demo cameras start with the motion, and are exact unless errors are simulated.
    start_s = float(np.nanmedian(started_s - timeline.time_s[:, None]))
    truth = room_people().people.sequence(start_s + timeline.time_s)
    dataclasses.replace(truth, time_s=timeline.time_s).save(take.layout.truth)
