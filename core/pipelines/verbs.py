"""Table of verbs for the command line, the worker and the window, with one use-case function each.

Only settings are imported here, so that the window lists the verbs without loading torch; a function is imported when
its verb runs. Every function is named `run_<verb>` and has the signature
`(session: Session, params: P, run: RunLayout, reporter: Reporter) -> dict[str, JSON value]`.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import write_yaml
from core.passwords import keep_passwords
from core.pipelines import params
from core.progress import Reporter
from core.registry import closest
from core.session import RunLayout, Session
from core.session.store import TakeKind

Group = Literal["data", "calibration", "poses", "results"]


@dataclass(frozen=True, slots=True)
class Verb:
    """Verb of the command line, which is also a job of the window.

    Attributes:
        name: Name on the command line.
        group: Part of the workflow under which it is listed.
        summary: Description in one line, an imperative phrase without a full stop.
        params: Dataclass of the settings.
        function: Use-case function as `package.module:function`.
        take_kind: Kind of take to use if none is given.
        target: Setting with the output path; the session does not change if the path is outside of it.
        locks_take: True if it changes results of its take, and therefore locks the take.
        replaces_rig: True if it changes the calibration of the session.
    """

    name: str
    group: Group
    summary: str
    params: type[Any]
    function: str
    take_kind: TakeKind = "motion"
    target: str = ""
    locks_take: bool = False
    replaces_rig: bool = False

    def __call__(
        self, session: Session, values: Mapping[str, Any], run: RunLayout, reporter: Reporter
    ) -> dict[str, Any]:
        """Check the settings, store them with all defaults in the folder of the run, and run the use case."""
        settings: Any = from_mapping(self.params, keep_passwords(values))
        write_yaml(run.config, to_mapping(settings))
        module, _, name = self.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        held = session.take(settings.take).locked(self.name) if self.locks_take else contextlib.nullcontext()
        with held:
            result: dict[str, Any] = function(session, settings, run, reporter)
        return result


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "import-take",
            "data",
            "Import videos as a take",
            params.ImportTakeParams,
            "core.pipelines.ingest:run_import_take",
        ),
        Verb(
            "cut-take",
            "data",
            "Create new takes by trimming or splitting a take",
            params.CutTakeParams,
            "core.pipelines.takes.cut:run_cut_take",
            locks_take=True,
        ),
        Verb(
            "record",
            "data",
            "Record live cameras as a take",
            params.RecordParams,
            "core.pipelines.record:run_record",
        ),
        Verb(
            "live",
            "poses",
            "Show people of running cameras in 3D in real time",
            params.LiveParams,
            "core.pipelines.cameras.live:run_live",
        ),
        Verb(
            "import-dataset",
            "data",
            "Import a sequence of a public dataset as a take",
            params.ImportDatasetParams,
            "core.pipelines.import_dataset:run_import_dataset",
        ),
        Verb(
            "import-poses2d",
            "data",
            "Import 2D poses of another program into a take",
            params.ImportPoses2DParams,
            "core.pipelines.ingest:run_import_poses2d",
            locks_take=True,
        ),
        Verb(
            "board-sheet",
            "calibration",
            "Create a calibration board to print or to show on a screen",
            params.BoardSheetParams,
            "core.pipelines.rig.world:run_board_sheet",
            target="path",
        ),
        Verb(
            "calibrate",
            "calibration",
            "Calibrate intrinsics, poses and time offsets from a take of a board",
            params.CalibrateParams,
            "core.pipelines.rig.calibrate:run_calibrate",
            take_kind="board",
            replaces_rig=True,
        ),
        Verb(
            "calibrate-people",
            "calibration",
            "Calibrate poses and time offsets from a take of people, without a board",
            params.CalibratePeopleParams,
            "core.pipelines.rig.calibrate_people:run_calibrate_people",
            replaces_rig=True,
        ),
        Verb(
            "certify",
            "calibration",
            "Measure offsets, drifts and missing images of the cameras in their images, or set offsets",
            params.CertifyParams,
            "core.pipelines.rig.certify:run_certify",
        ),
        Verb(
            "import-rig",
            "calibration",
            "Import a calibration made by another tool",
            params.ImportRigParams,
            "core.pipelines.ingest:run_import_rig",
            replaces_rig=True,
        ),
        Verb(
            "check-rig",
            "calibration",
            "Check the calibration against a take of a board",
            params.CheckRigParams,
            "core.pipelines.rig.calibrate:run_check_rig",
            take_kind="board",
        ),
        Verb(
            "set-world",
            "calibration",
            "Set origin, floor, axes and scale of the world coordinates",
            params.SetWorldParams,
            "core.pipelines.rig.world:run_set_world",
        ),
        Verb(
            "export-rig",
            "calibration",
            "Export the calibration in the format of another tool",
            params.ExportRigParams,
            "core.pipelines.rig.export_rig:run_export_rig",
            target="path",
        ),
        Verb(
            "pose2d",
            "poses",
            "Estimate 2D poses in every view of a take",
            params.Pose2DParams,
            "core.pipelines.pose2d:run_pose2d",
            locks_take=True,
        ),
        Verb(
            "triangulate",
            "poses",
            "Triangulate 3D poses from 2D poses, without training (baseline)",
            params.TriangulateParams,
            "core.pipelines.triangulate:run_triangulate",
            locks_take=True,
        ),
        Verb(
            "train",
            "poses",
            "Train the 3D pose networks on takes of the session",
            params.TrainParams,
            "core.pipelines.train:run_train",
        ),
        Verb(
            "infer",
            "poses",
            "Predict 3D poses of a take with trained networks",
            params.InferParams,
            "core.pipelines.infer:run_infer",
            locks_take=True,
        ),
        Verb(
            "fit-body",
            "poses",
            "Fit bodies to the 3D poses of a take",
            params.FitBodyParams,
            "core.pipelines.results.fit_body:run_fit_body",
            locks_take=True,
        ),
        Verb(
            "run",
            "poses",
            "Run pose2d, triangulate, train, infer, fit-body, evaluate and export on a take",
            params.RunParams,
            "core.pipelines.run:run_pipeline",
            locks_take=True,
        ),
        Verb(
            "update",
            "results",
            "Recompute results whose calibration or 2D poses have changed",
            params.UpdateParams,
            "core.pipelines.results.update:run_update",
        ),
        Verb(
            "evaluate",
            "results",
            "Measure baseline and trained networks on a take, without ground truth",
            params.EvaluateParams,
            "core.pipelines.evaluate:run_evaluate",
            locks_take=True,
        ),
        Verb(
            "evaluate-dataset",
            "results",
            "Measure 3D poses against the ground truth of a public dataset",
            params.EvaluateDatasetParams,
            "core.pipelines.evaluate_dataset:run_evaluate_dataset",
        ),
        Verb(
            "export",
            "results",
            "Export 3D poses to files of other tools",
            params.ExportParams,
            "core.pipelines.export:run_export",
            target="folder",
        ),
        Verb(
            "film",
            "results",
            "Render people in 3D and over the videos to an MP4 file",
            params.FilmParams,
            "core.pipelines.film.film:run_film",
            target="folder",
        ),
    )
}


def verb(name: str) -> Verb:
    """Return the verb with a name.

    Raises:
        CoreError: The verb is unknown; the hint suggests the closest one.
    """
    if name not in VERBS:
        raise CoreError(f"Unknown verb '{name}'.", closest(name, list(VERBS)))
    return VERBS[name]
