"""The table of verbs: one use-case function each, the same behind the command line, the worker and the window.

Only names and settings are imported here, so that the window can list the verbs without loading torch; the functions
are imported when a verb runs. Every function has the signature
`run(session: Session, params: P, run: RunLayout, reporter: Reporter) -> dict[str, JSON value]`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import write_yaml
from core.pipelines import params
from core.progress import Reporter
from core.registry import closest
from core.session import RunLayout, Session


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that the studio can do.

    Attributes:
        name: As typed on the command line.
        summary: One line of help.
        params: Dataclass of its settings.
        function: `package.module:function`.
    """

    name: str
    summary: str
    params: type[Any]
    function: str

    def __call__(
        self, session: Session, values: Mapping[str, Any], run: RunLayout, reporter: Reporter
    ) -> dict[str, Any]:
        """Checks the settings, stores them resolved in the run's folder, and runs the use case."""
        settings: Any = from_mapping(self.params, values)
        write_yaml(run.config, to_mapping(settings))
        module, _, name = self.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        result: dict[str, Any] = function(session, settings, run, reporter)
        return result


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "import-take",
            "Bring videos of one take into the session",
            params.ImportTakeParams,
            "core.pipelines.ingest:run_import_take",
        ),
        Verb(
            "import-rig",
            "Bring a calibration of another tool into the session",
            params.ImportRigParams,
            "core.pipelines.ingest:run_import_rig",
        ),
        Verb(
            "record",
            "Record cameras that run now, and watch the board in them",
            params.RecordParams,
            "core.pipelines.record:run_record",
        ),
        Verb(
            "calibrate",
            "Lenses, poses and time offsets of the cameras from a take of a board",
            params.CalibrateParams,
            "core.pipelines.calibrate:run_calibrate",
        ),
        Verb(
            "calibrate-people",
            "Poses and time offsets of the cameras from people walking, without a board",
            params.CalibratePeopleParams,
            "core.pipelines.calibrate_people:run_calibrate_people",
        ),
        Verb(
            "check-rig",
            "Judge the session's rig by a take of a board",
            params.CheckRigParams,
            "core.pipelines.calibrate:run_check_rig",
        ),
        Verb(
            "set-world",
            "Origin, floor, axes and scale of the session's rig",
            params.SetWorldParams,
            "core.pipelines.world:run_set_world",
        ),
        Verb(
            "board-sheet",
            "A board to print at true size, or to show on a screen",
            params.BoardSheetParams,
            "core.pipelines.world:run_board_sheet",
        ),
        Verb(
            "export-rig",
            "Write the calibration as a file of another tool",
            params.ExportRigParams,
            "core.pipelines.export_rig:run_export_rig",
        ),
        Verb(
            "import-dataset",
            "Bring a public data set into the session as a take",
            params.ImportDatasetParams,
            "core.pipelines.import_dataset:run_import_dataset",
        ),
        Verb(
            "import-poses2d",
            "Bring 2D poses of another program into a take",
            params.ImportPoses2DParams,
            "core.pipelines.ingest:run_import_poses2d",
        ),
        Verb(
            "pose2d",
            "Find 2D poses in every view of a take",
            params.Pose2DParams,
            "core.pipelines.pose2d:run_pose2d",
        ),
        Verb(
            "triangulate",
            "3D poses without training: the baseline",
            params.TriangulateParams,
            "core.pipelines.triangulate:run_triangulate",
        ),
        Verb(
            "train", "Train the root and pose networks on takes", params.TrainParams, "core.pipelines.train:run_train"
        ),
        Verb("infer", "3D poses of a take with trained networks", params.InferParams, "core.pipelines.infer:run_infer"),
        Verb(
            "evaluate",
            "Label-free figures: baseline and trained side by side",
            params.EvaluateParams,
            "core.pipelines.evaluate:run_evaluate",
        ),
        Verb(
            "evaluate-dataset",
            "3D poses against a public data set, beside published figures",
            params.EvaluateDatasetParams,
            "core.pipelines.evaluate_dataset:run_evaluate_dataset",
        ),
        Verb(
            "export", "Write 3D poses as files of other tools", params.ExportParams, "core.pipelines.export:run_export"
        ),
        Verb(
            "run",
            "The whole path: label, associate, train, infer, evaluate, export",
            params.RunParams,
            "core.pipelines.run:run_pipeline",
        ),
    )
}


def verb(name: str) -> Verb:
    """The verb of that name.

    Raises:
        CoreError: There is none.
    """
    if name not in VERBS:
        raise CoreError(f"There is no verb '{name}'.", closest(name, list(VERBS)))
    return VERBS[name]
