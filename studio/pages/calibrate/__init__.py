"""Calibrate page: solve or import a rig, check it, and set its world coordinates."""

from studio.specs import ActionSpec, PageSpec

PAGE = PageSpec(
    name="calibrate",
    title="Calibrate",
    summary="Locate your cameras",
    icon="calibrate",
    shortcut="Ctrl+1",
    factory="studio.pages.calibrate.page:CalibratePage",
    steps=("rig",),
    guide=(
        "Determine where the cameras are and how their lenses project. Record or import a printed board that is moved "
        "in front of all cameras, or import the calibration of another program. The line at the top says whether "
        "the result can be trusted."
    ),
    verbs=(
        "calibrate",
        "calibrate-people",
        "certify",
        "check-rig",
        "set-world",
        "board-sheet",
        "import-rig",
        "export-rig",
    ),
    actions=(
        ActionSpec(
            id="rig.calibrate",
            text="Calibrate from board",
            icon="calibrate",
            tip="Solve intrinsics, poses and time offsets from the selected board take",
            needs="session",
        ),
        ActionSpec(
            id="rig.import",
            text="Import calibration…",
            icon="import",
            tip="Read a rig file of another tool",
            needs="session",
        ),
        ActionSpec(
            id="rig.export",
            text="Export calibration…",
            icon="export",
            tip="Write the rig for another tool",
            needs="session",
        ),
    ),
)
