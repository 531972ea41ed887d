"""Settings of the verbs: one frozen dataclass per verb, without imports of torch because the window uses them.

The description of each attribute is its help text on the command line, so that each has to stand alone.
"""

from core.pipelines.params.calibration import (
    BoardSheetParams,
    CalibrateParams,
    CalibratePeopleParams,
    CertifyParams,
    CheckRigParams,
    ExportRigParams,
    ImportRigParams,
    SetWorldParams,
)
from core.pipelines.params.data import (
    CutTakeParams,
    ImportDatasetParams,
    ImportPoses2DParams,
    ImportTakeParams,
    LiveParams,
    RecordParams,
)
from core.pipelines.params.fields import REGISTRY
from core.pipelines.params.poses import (
    FitBodyParams,
    InferParams,
    Pose2DParams,
    RunParams,
    TrainParams,
    TriangulateParams,
)
from core.pipelines.params.results import (
    EvaluateDatasetParams,
    EvaluateParams,
    ExportParams,
    FilmFigures,
    FilmLayout,
    FilmParams,
    UpdateParams,
)

__all__ = [
    "REGISTRY",
    "BoardSheetParams",
    "CalibrateParams",
    "CalibratePeopleParams",
    "CertifyParams",
    "CheckRigParams",
    "CutTakeParams",
    "EvaluateDatasetParams",
    "EvaluateParams",
    "ExportParams",
    "ExportRigParams",
    "FilmFigures",
    "FilmLayout",
    "FilmParams",
    "FitBodyParams",
    "ImportDatasetParams",
    "ImportPoses2DParams",
    "ImportRigParams",
    "ImportTakeParams",
    "InferParams",
    "LiveParams",
    "Pose2DParams",
    "RecordParams",
    "RunParams",
    "SetWorldParams",
    "TrainParams",
    "TriangulateParams",
    "UpdateParams",
]
