"""Train page: the steps from footage to 3D, live losses, and the comparison of baseline and trained model."""

from studio.specs import ActionSpec, PageSpec

PAGE = PageSpec(
    name="train",
    title="Train",
    summary="Learn from your footage",
    icon="train",
    shortcut="Ctrl+3",
    factory="studio.pages.train.page:TrainPage",
    steps=("pose2d", "triangulate", "train", "infer", "evaluate"),
    guide=(
        "From videos to people in 3D. Run all steps does everything; each step can also be run separately. "
        "Triangulate needs no training; Train learns from your footage; Evaluate measures whether that "
        "helped."
    ),
    verbs=(
        "import-poses2d",
        "pose2d",
        "triangulate",
        "train",
        "infer",
        "evaluate",
        "evaluate-dataset",
        "run",
        "update",
    ),
    actions=(
        ActionSpec(
            id="train.run_all",
            text="Run all steps",
            icon="forward",
            keys=("Ctrl+R",),
            tip="2D poses, triangulation, training, inference, evaluation and export of the selected take",
            needs="session",
        ),
    ),
)
