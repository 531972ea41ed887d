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
