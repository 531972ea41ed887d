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
    keys=(("Mark this instant of the take", "M"), ("Show all cameras", "Esc"), ("Next camera, enlarged", "← →")),
    guide=(
        "Takes, one synchronised video per camera. Record them from live cameras, or import videos here or by dropping "
        "them on the window. A take of people is what the other pages work on; a take of the board calibrates."
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
