"""People of a film at each time: fitted bodies, or else figures of skeletons.

Legend: T frame, P person, J joint.
"""

from __future__ import annotations

import numpy as np

from core.body.models.registry import load_body_model
from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.pipelines.params import FilmFigures
from core.progress import Reporter
from core.rendering.colours import ViewColours, rgb
from core.rendering.figures import figure_surface, trail_surface
from core.rendering.skeleton_geometry import person_centres_mm
from core.rendering.surfaces import Surface, body_surface, join
from core.session import Take
from core.session.inputs import FIT_BODIES_AGAIN, outdated_bodies
from core.types import Pose3DSequence
from core.types.arrays import F64
from core.types.rate import nearest_samples

_TRAIL_S = 2.0


class FilmedPeople:
    """Surfaces of the people.

    Args:
        poses: 3D result.
        motion: Bodies of the same people, or None.
        colours: Colours of the view.
    """

    def __init__(self, poses: Pose3DSequence, motion: BodyMotion | None, colours: ViewColours) -> None:
        self.poses, self._motion = poses, motion
        self._fps = poses.fps, motion.bodies.fps if motion is not None else 0.0  # computed from all times
        self._colours = np.stack([colours.person(p) for p in range(len(poses.person_ids))])
        self._floor = rgb(colours.floor)
        self._centres_mm = person_centres_mm(poses)

    def surface(self, time_s: float) -> Surface:
        """Return the people at a time of the take; people without body are figures."""
        surfaces, drawn = [], set()
        if self._motion is not None:
            bodies = self._motion.bodies
            index = _nearest(bodies.time_s, time_s, self._fps[1])
            if index is not None:
                people = self._motion.people(index)
                for vertices, column in zip(self._motion.vertices_mm(index), people, strict=True):
                    person = bodies.person_ids[column]
                    if person in self.poses.person_ids:
                        colour = self._colours[self.poses.person_ids.index(person)]
                        surfaces.append(body_surface(vertices, self._motion.model.faces, colour))
                        drawn.add(person)
        index = _nearest(self.poses.time_s, time_s, self._fps[0])
        if index is not None:
            rest = [p for p, person in enumerate(self.poses.person_ids) if person not in drawn]
            columns = np.array([p for p in rest if self.poses.present[index, p]], int)
            if len(columns):
                xyz_mm = self.poses.xyz_mm[index, columns]
                surfaces.append(figure_surface(self.poses.skeleton, xyz_mm, self._colours[columns]))
        return join(surfaces)

    def trails(self, time_s: float) -> Surface:
        """Return the trails of the last seconds."""
        times = self.poses.time_s
        first, last = np.searchsorted(times, (time_s - _TRAIL_S, time_s + 1e-6))
        return trail_surface(self._centres_mm[first:last], self._colours, self._floor)


def read_motion(take: Take, result: str, figures: FilmFigures, reporter: Reporter) -> BodyMotion | None:
    """Return the bodies that a film shows; None for skeletons.

    Raises:
        CoreError: Bodies were requested, but there are none, they are out of date, or their model is missing.
    """
    if figures == "skeletons" or (figures == "auto" and not take.has_bodies(result)):
        return None
    try:
        if message := outdated_bodies(take, result):
            raise CoreError(message, FIT_BODIES_AGAIN)
        bodies = take.bodies(result)
        return BodyMotion.of(load_body_model(bodies.model), bodies)
    except CoreError as error:
        if figures == "bodies":
            raise
        reporter.note(f"{error} Skeletons are shown instead.", "warning")
        return None


def _nearest(times_s: F64, time_s: float, fps: float) -> int | None:
    index = int(nearest_samples(times_s, np.array([time_s]), fps)[0])
    return index if index >= 0 else None
