"""State and scene of the Live page, without widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.body.model import BodyModel
from core.body.models.registry import load_body_model
from core.body.sequence import BodyMotion
from core.capture.ring import ImageRingReader
from core.capture.source import parse_camera
from core.capture.sources.demo import room_camera_name
from core.errors import CoreError
from core.live.config import ELSEWHERE
from core.live.stream import LivePeople, PeopleReader
from core.session import Session, Take
from core.types.arrays import U8
from core.types.body import BodySequence
from core.types.camera import CameraRig
from studio.specs import StepView
from studio.state.app_state import AppState
from studio.state.live_status import LiveStatus
from studio.viewport.layers.bodies import BodyLayer
from studio.viewport.layers.shadows import people_shadows
from studio.viewport.layers.skeletons import SHOW_BODIES, WITHIN_BODY, SkeletonLayer
from studio.viewport.layers.spec import ViewOptions
from studio.viewport.palette import Palette
from studio.viewport.scene import SceneLayers, build_scene_layers
from studio.viewport.scene_data import SceneData

Stage = Literal["no rig", "no cameras", "mismatch", "ready", "starting", "running", "failed"]
_STALE_S = 1.5  # age, or the time of three results, from which people are no longer drawn
_RETRY_S = 2.0  # before loading a missing body model is retried
_SAME_RIG = 0.1  # tolerance of relative distances between cameras of the same room
_IMAGE_STEP = 2  # subsampling of images in the frusta


@dataclass(frozen=True, slots=True)
class LiveView:
    """State of the page.

    Attributes:
        stage: Stage of live 3D.
        heading: Short heading.
        text: Reason and remedy.
    """

    stage: Stage
    heading: str = ""
    text: str = ""


def session_rig(session: Session | None) -> CameraRig | None:
    """Return the rig of a session if all its cameras are posed, else None."""
    if session is None:
        return None
    try:
        return session.require_rig()
    except CoreError:
        return None


def live_step(state: AppState) -> StepView:
    """Return the state of the page for the navigation."""
    status = state.cameras.status
    if status is not None and status.live:
        return StepView("running", "People are shown live.")
    if session_rig(state.session) is None:
        return StepView("blocked", "Calibrate the cameras first.")
    return StepView("ready", "Start the cameras to see people in 3D.")


def live_view(rig: CameraRig | None, cameras: tuple[str, ...], status: LiveStatus | None, wanted: bool) -> LiveView:
    """Return the state of the page.

    Args:
        rig: Posed cameras; None without calibration.
        cameras: Cameras in use, each as "name=address".
        status: State of the running cameras; None while they are off.
        wanted: True if live 3D was started and not stopped.
    """
    names = [parse_camera(one)[0] for one in cameras]
    if status is not None and status.live:
        if status.people.problem:
            return LiveView("failed", "Live 3D has ended", status.people.problem)
        return LiveView("running" if status.people.fps else "starting")
    if rig is None and all_in_demo_room(cameras):
        return LiveView("starting" if wanted else "ready")
    if rig is None:
        text = "Live 3D needs calibrated cameras. Calibration takes a minute with a board or with walking people."
        return LiveView("no rig", "Calibrate first", text)
    if not cameras:
        return LiveView("no cameras", "No cameras yet", "Add the cameras of the calibration on the Record page.")
    if all_in_demo_room(cameras) and not fits_demo_room(rig):
        text = "The simulated cameras film people in another room. Use the cameras of the session, or a new session."
        return LiveView("mismatch", "The calibration is not that of the demo room", text)
    if len(set(names) & set(rig.names)) < 2:
        text = f"Cameras in use: {', '.join(names)}; calibrated: {', '.join(rig.names)}. Give them the same names."
        return LiveView("mismatch", "The cameras are not those of the calibration", text)
    return LiveView("starting" if wanted else "ready")


def take_cameras(take: Take | None, rig: CameraRig | None) -> tuple[str, ...]:
    """Return the calibrated cameras of a take of people, which play their videos in a loop."""
    if take is None or rig is None or take.manifest.kind != "motion":
        return ()
    names = [name for name in take.cameras if name in rig.names]
    return tuple(f"{name}={take.video_path(name)}?loop" for name in names) if len(names) > 1 else ()


def all_in_demo_room(cameras: tuple[str, ...]) -> bool:
    """Return whether all cameras are simulated ones of people, whose exact calibration is known."""
    return bool(cameras) and all(room_camera_name(parse_camera(one)[1]) for one in cameras)


def fits_demo_room(rig: CameraRig | None) -> bool:
    """Return whether a calibration equals that of the demo room up to a similarity."""
    if rig is None:
        return True
    from core.synthetic.rendering.scene import room_rig

    room = room_rig()
    names = [name for name in rig.names if name in room.names]
    if len(names) < 2:
        return False
    ours, theirs = (np.array([r[name].centre_mm for name in names]) for r in (rig, room))
    ours, theirs = (
        np.linalg.norm(one[:, None] - one, axis=-1)[np.triu_indices(len(names), 1)] for one in (ours, theirs)
    )
    ratio = ours / theirs
    return bool(np.ptp(ratio) < _SAME_RIG * np.median(ratio))


class LiveScene:
    """Scene with the newest people and images of running cameras."""

    def __init__(self) -> None:
        self.people: LivePeople | None = None
        self.body_problem = ""
        """Reason why fitted bodies are not drawn; empty if they are."""
        self._model: BodyModel | None = None
        self._motion: BodyMotion | None = None
        self._retry_ns = 0
        self._received_ns = 0
        self._digest = ""
        self._data = SceneData.build()
        self._options = ViewOptions()
        self._reader: tuple[str, PeopleReader] | None = None
        self._rings: dict[str, tuple[str, ImageRingReader]] = {}
        self._images: dict[str, U8] = {}

    def set_rig(self, rig: CameraRig | None, cameras: Collection[str]) -> None:
        """Set the cameras to draw: those of the rig in use, or all if none is."""
        used = [name for name in rig.names if name in cameras] if rig is not None else []
        rig = rig.subset(used) if rig is not None and used else rig
        digest = "" if rig is None else rig.digest
        if digest != self._digest:
            self._digest, self._data = digest, SceneData.build(rig)

    def show_bodies(self, on: bool) -> None:
        """Choose between bodies and skeletons."""
        self._options = self._options.with_option(SHOW_BODIES, on)

    def attach(self, status: LiveStatus | None) -> None:
        """Attach to the rings of running cameras; None detaches from all."""
        ring = "" if status is None else status.people.ring
        if self._reader is not None and self._reader[0] != ring:
            self._reader[1].close()
            self._reader, self.people, self._motion = None, None, None
        if ring and self._reader is None:
            with contextlib.suppress(CoreError):  # the ring was just removed
                self._reader = ring, PeopleReader(ring)
        running = {} if status is None else {n: c for n, c in status.cameras.items() if c.phase == "running"}
        cameras = {n: c.ring for n, c in running.items() if c.ring}
        for name in [n for n, (ring, _) in self._rings.items() if cameras.get(n) != ring]:
            self._rings.pop(name)[1].close()
            self._images.pop(name, None)
        for name, camera_ring in cameras.items():
            if name not in self._rings:
                with contextlib.suppress(CoreError):
                    self._rings[name] = camera_ring, ImageRingReader(camera_ring)

    def poll(self, now_ns: int) -> bool:
        """Read the newest people and matching images; return whether the scene has changed."""
        newest = self._reader[1].newest() if self._reader is not None else None
        if newest is None:
            shown_s = _STALE_S if self.people is None or not self.people.fps else max(_STALE_S, 3 / self.people.fps)
            stale = self.people is not None and now_ns - self._received_ns > shown_s * 1e9
            self.people = None if stale else self.people
            return stale
        self.people, self._received_ns = newest, now_ns
        self._motion = self._bodies(newest.bodies, now_ns)
        for name, (_, reader) in self._rings.items():
            image = reader.newest()
            if image is not None:
                self._images[name] = np.ascontiguousarray(image.image[::_IMAGE_STEP, ::_IMAGE_STEP])
        return True

    def _bodies(self, bodies: BodySequence | None, now_ns: int) -> BodyMotion | None:
        """Return bodies with their cached model, since it may be removed meanwhile."""
        if bodies is None or not bodies.person_ids:
            return None
        try:
            if self._model is None or self._model.name != bodies.model:
                if now_ns < self._retry_ns:
                    return None
                self._model = load_body_model(bodies.model)
            motion = BodyMotion.of(self._model, bodies)
        except CoreError as error:
            self._model, self._retry_ns = None, now_ns + round(_RETRY_S * 1e9)
            self.body_problem = f"{error.message} {error.hint}"
            return None
        self.body_problem = ""
        return motion

    def layers(self, palette: Palette) -> SceneLayers:
        """Return the layers of the scene."""
        scene = build_scene_layers(self._data, 0.0, self._options, palette, self._images)
        if self.people is not None and len(self.people.ids):
            bodies = live_bodies(self._motion, palette) if self._options.shows(SHOW_BODIES) else None
            scene.layers["skeletons"] = live_skeletons(self.people, palette, bodies)
            if bodies is not None:
                scene.layers["bodies"] = bodies
            skeleton, xyz_mm = self.people.skeleton, self.people.xyz_mm
            scene.layers["shadows"] = people_shadows(skeleton, xyz_mm, skeleton.root_position(xyz_mm), palette)
        return scene

    def close(self) -> None:
        """Detach from the rings."""
        self.attach(None)


def live_bodies(motion: BodyMotion | None, palette: Palette) -> BodyLayer | None:
    """Return a layer with the bodies of people with known shape; None without any.

    Args:
        motion: Bodies of one frame, or None.
        palette: Colours.
    """
    if motion is None:
        return None
    colour = np.array([palette.body(person - 1) for person in motion.bodies.person_ids], np.float32)
    return BodyLayer(motion=motion, frame=0, people=motion.people(0), colour=colour)


def live_skeletons(people: LivePeople, palette: Palette, bodies: BodyLayer | None = None) -> SkeletonLayer:
    """Return a layer with the skeletons of people, thin within bodies."""
    colour = [palette.person(person - 1) for person in people.ids.tolist()]
    layer = SkeletonLayer.build(people.skeleton, people.xyz_mm, people.score, colour)
    within = np.isin(people.ids, bodies.motion.bodies.person_ids if bodies is not None else ())
    return replace(layer, size=layer.size * np.where(within, WITHIN_BODY, 1.0).astype(np.float32)[:, None])


def rate_text(people: LivePeople | None, latency_s: float) -> str:
    """Return rate, latency and number of people as text; empty without results."""
    if people is None:
        return ""
    count = len(people.ids)
    who = "no people" if not count else "1 person" if count == 1 else f"{count} people"
    return f"{people.fps:.0f} fps, {1000 * latency_s:.0f} ms · {who}"


def used_text(people: LivePeople | None, status: LiveStatus | None) -> str:
    """Return a text on running cameras that are not used; empty if all are."""
    if people is None or status is None:
        return ""
    unused = [n for n, c in status.cameras.items() if c.phase == "running" and n not in people.cameras]
    return f"Not used: {', '.join(unused)}" if unused else ""


def camera_text(status: LiveStatus | None) -> str:
    """Return a text on cameras that send no images or were moved; empty if there are none."""
    moved = status.people.disagreeing if status is not None and status.live else ()
    return lost_text(status) or (f"{', '.join(moved)}: {ELSEWHERE}" if moved else "")


def lost_text(status: LiveStatus | None) -> str:
    """Return a text on cameras that send no images; empty if all do."""
    lost = {n: c.problem for n, c in status.cameras.items() if c.phase == "lost"} if status is not None else {}
    if not lost:
        return ""
    several = len(lost) > 1
    text = f"No images from {', '.join(lost)}, which {'are' if several else 'is'} being reopened"
    first, problem = next(iter(lost.items()))
    return f"{text}. {first}: {problem}" if several else f"{text}: {problem}"


def body_text(problem: str, *, wanted: bool, vmc: bool) -> str:
    """Return a text on missing bodies and their effect on VMC; empty if everything is available.

    Args:
        problem: Reason and remedy if no bodies are fitted or drawn.
        wanted: True if bodies are switched on.
        vmc: True if people are sent.
    """
    if wanted and problem:
        bones = ", and VMC sends joints without bones" if vmc else ""
        return f"{problem} Until then, people are shown as skeletons{bones}."
    return "Without bodies, VMC sends joints (trackers) but no bones." if vmc and not wanted else ""
