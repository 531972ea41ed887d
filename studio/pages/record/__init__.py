"""Record page: live cameras, the takes of the session, and import of videos."""

from studio.specs import ActionSpec, PageSpec

PAGE = PageSpec(
    name="record",
    title="Record",
    summary="Record takes, or import your videos",
    icon="record",
    shortcut="Ctrl+2",
    factory="studio.pages.record.page:RecordPage",
    steps=("take",),
    keys=(
        (
            "Record page",
            (("Mark the current time", "M"), ("Show all cameras", "Esc"), ("Next camera, enlarged", "← →")),
        ),
    ),
    guide=(
        "A take has one synchronised video per camera. Record takes from live cameras, or import videos here or by "
        "dropping them on the window. The other pages process takes of people; takes of the board are for calibration."
    ),
    verbs=("record", "import-take", "cut-take", "import-dataset"),
    actions=(
        ActionSpec(
            id="take.record",
            text="Record or stop",
            icon="record",
            keys=("F9",),
            tip="Start the cameras, record a take, or stop it",
            needs="session",
        ),
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
