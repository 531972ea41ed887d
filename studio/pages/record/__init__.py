"""Record page: the takes of the session, and import of videos."""

from studio.specs import ActionSpec, PageSpec

PAGE = PageSpec(
    name="record",
    title="Record",
    summary="Import your videos",
    icon="record",
    shortcut="Ctrl+2",
    factory="studio.pages.record.page:RecordPage",
    steps=("take",),
    guide=(
        "The takes, one synchronised video per camera. Import the videos here, or drop them on the window. A "
        "take of people is what the other pages work on; a take of the board calibrates."
    ),
    verbs=("record", "import-take", "import-dataset"),
    actions=(
        ActionSpec(
            id="take.import",
            text="Import videos…",
            icon="import",
            keys=("Ctrl+I",),
            tip="Create a take from one video per camera",
            needs="session",
        ),
    ),
)
