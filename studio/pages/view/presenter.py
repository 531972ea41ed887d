"""Content of the View page, read from the session on disk, without widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from core.association.bias import RIG_WARNING
from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.evaluation.choice import measured
from core.session import BASELINE, Session, Take, Timeline
from core.session.calibrations import former_rig
from core.session.inputs import outdated_inputs
from core.session.volume import ActiveVolume
from core.types import Camera, CameraRig, CaptureVolume, Pose3DSequence
from core.types.arrays import U8
from studio.once import once_each
from studio.pages.view.evaluation.summary import EvaluationSummary, read_evaluation
from studio.pages.view.joints.picking import Pin, PinnedCurve
from studio.pages.view.joints.series import JointMotions
from studio.pages.view.options import SHOW_DETECTIONS, SHOW_VIDEO_BODIES, SHOW_VIDEO_FLOOR, VIDEO_OPTIONS, joint_colours
from studio.pages.view.overlays import DetectionReader, VolumeLines, skeletons_px
from studio.pages.view.results import Notice, ResultReader, RigAccuracy, frames_held_out
from studio.pages.view.summary import PeopleSummary, PersonState
from studio.state.app_state import AppState
from studio.state.results import result_title
from studio.theme import Theme
from studio.viewport.accuracy_colours import accuracy_legend_rows
from studio.viewport.layers.skeletons import SHOW_BODIES, SHOW_SKELETONS
from studio.viewport.layers.spec import DisplayOption, ViewOptions
from studio.viewport.layers.table import is_available
from studio.viewport.layers.volume import SHOW_VOLUME
from studio.viewport.palette import Palette
from studio.viewport.reliability import CameraReliability, camera_reliability
from studio.viewport.scene import SceneLayers, build_scene_layers
from studio.viewport.scene_data import SceneData, centres_mm, nearest_frame, people_corners_mm
from studio.volume.box import VolumeBox
from studio.widgets.images.body_layers import BodyLayers
from studio.widgets.images.pane_overlay import PaneOverlay, ProjectedSkeleton
from studio.widgets.playback.timeline_bar import TimelineModel

_LITTLE_BYTES = 2 << 20
"""Size in bytes of results that are read without a thread: some hundred frames of a few people."""
people_summary = once_each(PeopleSummary.of)


class ViewPresenter:
    """Content of the View page for the selected take and result.

    Args:
        state: State shared with the other pages.
    """

    def __init__(self, state: AppState) -> None:
        self._state = state
        self.take: Take | None = None
        self.timeline: Timeline | None = None
        self.notice: Notice | None = None
        self.results: list[str] = []
        self.result = ""
        self.options = ViewOptions()
        self.people: PeopleSummary | None = None
        self.evaluation: EvaluationSummary | None = None
        self.motion: BodyMotion | None = None
        self.compared_motion: BodyMotion | None = None
        self._reader = ResultReader()
        self._body_layers: tuple[Palette, BodyLayers] | None = None
        self._rig: CameraRig | None = None
        self._rig_is_former = False
        self._active_volume: ActiveVolume | None = None
        self._accuracy = RigAccuracy()
        self.wipe = False
        self._data = SceneData.build()
        self._sides: tuple[SceneData, SceneData] | None = None
        self.joints: JointMotions | None = None
        self.compared_joints: JointMotions | None = None
        self._take_notice: Notice | None = None
        self._detections = DetectionReader()
        self._lines = VolumeLines(None, None)

    def reading_ahead(self) -> Callable[[], None] | None:
        """Return a function that reads the selection in a thread; None if that takes no time."""
        session, name = self._state.session, self._state.take_name
        results = [result for result in (self._state.poses_name, self.comparison) if result]
        try:
            take = session.take(name) if session is not None and name else None
        except CoreError:
            return None
        if session is None or take is None or self._reader.unread_bytes(take, results) <= _LITTLE_BYTES:
            return None
        return partial(self._read_ahead, session, take, results)

    def _read_ahead(self, session: Session, take: Take, results: Sequence[str]) -> None:
        """Read the data for `load_take` and `load_result`, which report errors."""
        with contextlib.suppress(CoreError):
            self._reader.timeline(take)
            rig = session.rig_for(take)
            self._reader.timeline(take, rig)
            self._accuracy.of(rig)
        for result in results:
            with contextlib.suppress(CoreError):
                poses = self._reader.poses(take, result)
                people_corners_mm(poses)
                people_summary(poses)
                self._reader.bodies(take, result)

    def load_take(self) -> None:
        """Read the selected take and its result."""
        self.take = self.timeline = None
        self._detections = DetectionReader()
        self._take_notice = self._read_take()
        self.load_result()

    def load_result(self) -> None:
        """Read the cameras of the take, the selected result, the compared result and the evaluation."""
        self.notice = self._take_notice or self._read_rig()
        self.results = self.take.poses3d_runs() if self.take else []
        self.result = self._state.poses_name if self._state.poses_name in self.results else ""
        if self.comparison not in self.results or self.comparison == self.result:
            self._state.comparison_name = ""
        poses, ghost = self._read(self.result), self._read(self.comparison)
        if poses is not None:
            ghost = self._follow_rig(poses, ghost)
        self._reader.keep(self.take, [result for result in (self.result, self.comparison) if result])
        # Detections from which the result was computed.
        self._detections.select(str(poses.provenance.get("estimator", "")) if poses is not None else "")
        self.motion = self._read_bodies(self.result) if poses is not None else None
        self.compared_motion = self._read_bodies(self.comparison) if ghost is not None else None
        self._body_layers = None
        self._build_data(poses, ghost)
        self.people = people_summary(poses) if poses is not None else None
        self.joints = _joint_motions(self.joints, poses, self.motion)
        self.compared_joints = _joint_motions(self.compared_joints, ghost, self.compared_motion)
        self.evaluation = self._read_evaluation()
        self._note_unmeasured()
        if self.notice is None and self.take is not None and not self.results:
            self.notice = Notice(heading="No 3D result yet.", remedy="Run Triangulate on the Train page.", page="train")
        if self.notice is None and poses is not None and (warning := str(poses.provenance.get(RIG_WARNING, ""))):
            self.notice = Notice(heading=warning, remedy="See the Calibrate page.", page="calibrate")
        if self.options.follow is not None and (poses is None or self.options.follow not in poses.person_ids):
            self.options = replace(self.options, follow=None)

    def load_volume(self) -> None:
        """Read the capture volume, and keep the results."""
        self._build_data(self._data.poses, self._data.ghost)

    def select_result(self, name: str) -> None:
        """Show another result; empty for none."""
        self._state.select_poses(name)

    def title(self, name: str) -> str:
        """Return the display name of a result."""
        return result_title(name, self.take)

    @property
    def comparison(self) -> str:
        """Name of the compared result; empty for none."""
        return self._state.comparison_name

    @property
    def has_comparison(self) -> bool:
        """True if a second result is drawn."""
        return self._sides is not None

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the calibrated cameras of the take."""
        return self._data.cameras

    def camera(self, name: str) -> Camera | None:
        """Return a calibrated camera by name; None if there is none."""
        return self._rig[name] if self._rig is not None and name in self._data.cameras else None

    @property
    def person_ids(self) -> tuple[int, ...]:
        """Identities of the people in the result."""
        return self._data.poses.person_ids if self._data.poses is not None else ()

    def is_available(self, option: DisplayOption) -> bool:
        """Return whether an option has anything to show or hide."""
        if option == SHOW_DETECTIONS:
            return self.has_detections
        if option == SHOW_VIDEO_BODIES:
            return self.motion is not None and self.has_rig
        return option in VIDEO_OPTIONS or is_available(option, self._data)

    @property
    def reliability(self) -> CameraReliability:
        """Errors of the cameras, by which their frusta are coloured."""
        return self._data.reliability

    def accuracy_rows(self) -> list[tuple[int, str]]:
        """Return the legend of the accuracy map; empty without a map."""
        return accuracy_legend_rows(self._data.accuracy) if self._data.accuracy is not None else []

    def joint_legend(self, theme: Theme) -> tuple[str, list[tuple[int | str, str]]]:
        """Return the title and the colours of the legend of joints; empty while they have the colours of people."""
        return ("", []) if self._data.poses is None else joint_colours(self.options, theme)

    @property
    def box(self) -> VolumeBox | None:
        """Corners of the visible capture volume; None if it cannot be dragged."""
        volume = self._data.volume
        if volume is None or self.options.through or not self.options.shows(SHOW_VOLUME):
            return None
        return VolumeBox(low_mm=volume.low_mm, high_mm=volume.high_mm)

    def preview_box(self, box: VolumeBox) -> None:
        """Draw another capture volume until the stored one is reloaded."""
        if self._data.volume is not None:
            size_mm = box.high_mm - box.low_mm
            volume = replace(self._data.volume, centre_mm=(box.low_mm + box.high_mm) / 2, size_mm=size_mm)
            self._data = replace(self._data, volume=volume)
            if self._sides is not None:
                self._sides = replace(self._sides[0], volume=volume), replace(self._sides[1], volume=volume)

    @property
    def has_rig(self) -> bool:
        """True if the cameras of the take are calibrated."""
        return self._rig is not None

    @property
    def has_detections(self) -> bool:
        """True if the take has 2D poses."""
        return self.take is not None and bool(self.take.estimators())

    def timeline_model(self) -> TimelineModel:
        """Return the frames of the take with the people of the result."""
        if self.timeline is None or self.take is None:
            return TimelineModel(time_s=np.zeros(0))
        return TimelineModel(
            time_s=self.timeline.time_s,
            tracks=self.people.tracks(self._data.poses, self.timeline.time_s) if self.people is not None else (),
            held_out=frames_held_out(self._state.session, self.take, self.result, len(self.timeline)),
        )

    def layers(self, frame: int, palette: Palette, images: Mapping[str, U8]) -> SceneLayers:
        """Build the layers of the 3D view at a frame.

        Args:
            frame: Frame of the take.
            palette: Colours.
            images: (H, W, 3) uint8 RGB images by camera name.
        """
        data = self._sides[0] if self.wipe and self._sides is not None else self._data
        options = replace(self.options, handles=self._data.volume is not None and not self.options.through)
        return build_scene_layers(data, self._time_s(frame), options, palette, images)

    def compared_layers(self, frame: int, palette: Palette, images: Mapping[str, U8]) -> SceneLayers:
        """Build the layers of the compared result, to the right of the dividing line."""
        data = self._sides[1] if self._sides else self._data
        return build_scene_layers(data, self._time_s(frame), self.options, palette, images)

    def reading_detections(self) -> Callable[[], None] | None:
        """Return a function that reads the 2D detections in a thread; None if they are known or hidden."""
        shown = self.take is not None and self.options.shows(SHOW_DETECTIONS)
        return self._detections.reading(self.take, self._rig) if shown and self.take is not None else None

    def overlay(self, camera: str, frame: int, palette: Palette) -> PaneOverlay:
        """Return the overlay of a camera image at a frame."""
        shows, skeletons = self.options.shows, tuple[ProjectedSkeleton, ...]()
        if shows(SHOW_SKELETONS):
            skeletons = skeletons_px(self._data, camera, self._time_s(frame), self.options, palette)
        return PaneOverlay(
            skeletons=skeletons,
            detections_px=self._detections.at(camera, frame) if shows(SHOW_DETECTIONS) else None,
            floor_px=self._lines.floor(camera) if shows(SHOW_VIDEO_FLOOR) else (),
            volume_px=self._lines.box(camera) if shows(SHOW_VOLUME) else (),
        )

    def body_layers(self, palette: Palette) -> BodyLayers | None:
        """Return the renderer of bodies over the videos; None if there are none or they are hidden."""
        rig, motion, timeline = self._rig, self.motion, self.timeline
        if rig is None or motion is None or timeline is None or not self.options.shows(SHOW_VIDEO_BODIES):
            return None
        if self._body_layers is None or self._body_layers[0] is not palette:
            colours = np.stack([palette.person(p)[:3] for p in range(len(motion.bodies.person_ids))])
            self._body_layers = palette, BodyLayers(rig, motion, timeline.time_s, colours)
        return self._body_layers[1]

    def people_at(self, frame: int) -> tuple[PersonState, ...]:
        """Return the state of all people of the result at a frame of the take."""
        poses = self._data.poses
        if self.people is None or poses is None:
            return ()
        return self.people.at(nearest_frame(poses, self._time_s(frame)))

    def joints_at(self, frame: int, *, compared: bool = False) -> tuple[JointMotions, int] | None:
        """Return the visible joints and their frame in the result; None without any.

        Args:
            frame: Frame of the take.
            compared: Use the compared result.
        """
        motions = self.compared_joints if compared else self.joints
        if motions is None or not (self.options.shows(SHOW_SKELETONS) or self.options.shows(SHOW_BODIES)):
            return None
        index = nearest_frame(motions.poses, self._time_s(frame))
        return None if index is None else (motions, index)

    def curves(self, pins: Sequence[Pin]) -> Callable[[], list[PinnedCurve]]:
        """Return a function that computes the motion of pinned joints in both results at the frames of the take.

        It should run in a thread, because the angles of bodies take seconds for a long take.
        """
        time_s = self.timeline.time_s if self.timeline is not None else np.zeros(0)
        joints, compared = self.joints, self.compared_joints
        return lambda: [PinnedCurve.of(pin, joints, compared, time_s) for pin in pins]

    def _time_s(self, frame: int) -> float:
        return float(self.timeline.time_s[frame]) if self.timeline is not None and len(self.timeline) else 0.0

    def _read_take(self) -> Notice | None:
        """Read the take and its timeline; return a notice if there is none."""
        session = self._state.session
        if session is None:
            return Notice(heading="No session is open", remedy="Open the sample or a session.", blocking=True)
        if not self._state.take_name:
            remedy = "Record a take on the Record page, or import its videos there."
            return Notice(heading="No take yet", remedy=remedy, blocking=True, page="record")
        try:
            take = session.take(self._state.take_name)
            self.timeline = self._reader.timeline(take)
        except CoreError as error:
            return Notice.of(error, blocking=True)
        self.take = take
        return None

    def _read_rig(self) -> Notice | None:
        """Read the cameras of the take; return a notice if they are missing."""
        self._rig, self._rig_is_former = None, False
        if self._state.session is not None and self.take is not None:
            try:
                self._rig = self._state.session.rig_for(self.take)
                self.timeline = self._reader.timeline(self.take, self._rig)
            except CoreError as error:
                return Notice.of(error)
        return None

    def _follow_rig(self, poses: Pose3DSequence, ghost: Pose3DSequence | None) -> Pose3DSequence | None:
        """Show a result of another calibration with that calibration, and return the result to compare if it fits.

        Skeletons of one rig would be displaced in the images of another.
        """
        session, take = self._state.session, self.take
        if session is None or take is None or self.notice is not None:
            return ghost
        messages = outdated_inputs(session, take, poses.provenance)
        digest = poses.provenance.get("rig", "")
        self._rig_is_former = bool(digest) and self._rig is not None and self._rig.digest != digest
        if self._rig_is_former:
            self._rig = former_rig(session, take, digest)
            shown = (
                "They are shown with their calibration."
                if self._rig is not None
                else "That calibration no longer exists: they are shown without cameras."
            )
            self.notice = Notice(heading=" ".join(messages), remedy=shown, outdated=True)
        elif messages:
            self.notice = Notice(heading=" ".join(messages), remedy="", outdated=True)
        if ghost is None or not digest or ghost.provenance.get("rig", digest) == digest:
            return ghost
        text = f"{self.title(self.comparison)} was made with another calibration and is not drawn."
        self.notice = self.notice or Notice(heading=text, remedy="", outdated=True)
        return None

    def _read(self, name: str) -> Pose3DSequence | None:
        try:
            return self._reader.poses(self.take, name) if self.take is not None and name else None
        except CoreError as error:
            self.notice = Notice.of(error)
            return None

    def _read_bodies(self, result: str) -> BodyMotion | None:
        try:
            return self._reader.bodies(self.take, result) if self.take is not None else None
        except CoreError as error:
            self.notice = self.notice or Notice.of(error)
            return None

    def _read_evaluation(self) -> EvaluationSummary | None:
        session, take = self._state.session, self.take
        try:
            return read_evaluation(session, take) if session is not None and take is not None else None
        except CoreError as error:
            self.notice = self.notice or Notice.of(error)
            return None

    def _note_unmeasured(self) -> None:
        """Note that the result of networks has not been evaluated against the baseline."""
        session, take = self._state.session, self.take
        if self.notice is not None or session is None or take is None or self.result in ("", BASELINE):
            return
        if measured(session, take, self.result) == "no":
            text = f"“{self.title(self.result)}” has not been evaluated on this take."
            self.notice = Notice(heading=text, remedy="Run Evaluate on the Train page.", page="train")

    def _build_data(self, poses: Pose3DSequence | None, ghost: Pose3DSequence | None) -> None:
        """Build the scene data: cameras, results and, where available, the capture volume."""
        self._active_volume = None
        if self._rig is not None and not self._rig_is_former:
            try:
                self._active_volume = self._state.volume.current()
            except CoreError as error:
                if not self._state.volume.deriving:
                    self.notice = self.notice or Notice.of(error)
        synthetic = self._active_volume.chosen.synthetic if self._active_volume is not None else None
        session, reliability = self._state.session, None
        if session is not None and self._rig is not None and not self._rig_is_former:
            reliability = camera_reliability(session, self._rig)
        accuracy = self._accuracy.of(self._rig)
        self._data = SceneData.build(
            self._rig, poses, ghost, self._volume, synthetic, accuracy, reliability, bodies=self.motion
        )
        self._lines = VolumeLines(self._rig, self._volume)
        self._sides = None
        if poses is not None and ghost is not None:
            centre_mm, bodies = centres_mm(ghost), self.compared_motion
            other = replace(self._data, poses=ghost, ghost=None, bodies=bodies, person_centre_mm=centre_mm)
            self._sides = replace(self._data, ghost=None), other

    @property
    def _volume(self) -> CaptureVolume | None:
        return self._active_volume.volume if self._active_volume is not None else None


def _joint_motions(
    known: JointMotions | None, poses: Pose3DSequence | None, motion: BodyMotion | None
) -> JointMotions | None:
    """Return the motions of a result; cached ones if the result is the same."""
    bodies = None if motion is None else motion.bodies
    if known is not None and known.poses is poses and known.bodies is bodies:
        return known
    return None if poses is None else JointMotions(poses, bodies)
