"""Contents of the Export page, without widgets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import CoreError
from core.evaluation.choice import measured
from core.export import EXPORTERS, Content, UnitsChoice, UpChoice, content_of, resolve_options
from core.pipelines.params import ExportParams
from core.session import BASELINE, Session, Take
from core.session.exports.manifest import newest_export
from core.session.inputs import FIT_BODIES_AGAIN, outdated_bodies, outdated_result
from studio.jobs.bridge import JobBridge
from studio.state.app_state import AppState
from studio.state.results import result_title

UNITS: tuple[tuple[UnitsChoice, str], ...] = (
    ("auto", "Format default"),
    ("mm", "Millimetres"),
    ("cm", "Centimetres"),
    ("m", "Metres"),
)
EVERYTHING: frozenset[Content] = frozenset({"points", "rotations", "mesh"})
NO_BODIES = "This result has no bodies yet: fit them on the View page."
"""Remedy for a result without bodies."""
UPS: tuple[tuple[UpChoice, str], ...] = (("auto", "Format default"), ("z", "z up"), ("y", "y up"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRow:
    """Export format.

    Attributes:
        name: Name in the registry of exporters.
        title: Title of the format.
        description: Contents, units, axes and readers of the files, or the reason why it cannot be written.
        bodies: True if the format contains bodies.
        by_default: True if the format is selected by default.
        problem: True if units, up axis or this computer prevent it.
        fits: True if the format can be written.
    """

    name: str
    title: str
    description: str
    bodies: bool
    by_default: bool
    problem: bool
    fits: bool


def format_rows(units: UnitsChoice, up: UpChoice, content: Collection[Content]) -> list[FormatRow]:
    """Return a row per format for the selected units, up axis and content."""
    rows = []
    for name in EXPORTERS:
        exporter = EXPORTERS.get(name)
        problem = exporter.unavailable()
        try:
            description = problem or exporter.describe(resolve_options(exporter, units, up))
        except CoreError as error:
            description = problem = error.message
        rows.append(
            FormatRow(
                name=name,
                title=exporter.title,
                description=description,
                bodies=bool(set(exporter.needs) - {"points"}),
                by_default=exporter.by_default,
                problem=bool(problem),
                fits=not problem and set(exporter.needs) <= set(content),
            )
        )
    return rows


def result_content(take: Take | None, result: str) -> frozenset[Content]:
    """Return the content of the selected result; joint positions without one."""
    return content_of(take, result) if take is not None and result else frozenset({"points"})


def bodies_note(take: Take | None, result: str) -> str:
    """Return why the bodies of the selected result are missing or out of date; empty if they are current."""
    if take is None or not result:
        return ""
    if "mesh" not in result_content(take, result):
        return NO_BODIES
    reason = outdated_bodies(take, result)
    return f"{reason} {FIT_BODIES_AGAIN}" if reason else ""


def result_choices(session: Session, take: Take) -> list[tuple[str, str]]:
    """Return the name and the title of each 3D result of a take; titles mark results without evaluation."""

    def title(name: str) -> str:
        unmeasured = name != BASELINE and measured(session, take, name) == "no"
        return f"{result_title(name, take)}{', not evaluated' if unmeasured else ''}"

    return [(name, title(name)) for name in take.poses3d_runs()]


def outdated_text(state: AppState, result: str) -> str:
    """Return why a result is out of date; empty if it is current."""
    try:
        session, take = state.session, state.take
    except CoreError:
        return ""  # the Record page reports damaged takes
    if session is None or take is None or not result:
        return ""
    return " ".join(outdated_result(session, take, result))


def export_params(
    take: str, poses: str, formats: Sequence[str], folder: str, units: UnitsChoice, up: UpChoice
) -> ExportParams:
    """Return the settings of an export."""
    return ExportParams(take=take, poses=poses, formats=tuple(formats), folder=folder, units=units, up=up)


def export_blocked(take: str, poses: str, formats: Sequence[str], jobs: JobBridge) -> str:
    """Return why an export is blocked; empty if it is not."""
    if not take:
        return "Import videos on the Record page first."
    if not poses:
        return "Run Triangulate on the Train page first."
    if not formats:
        return "Select at least one format."
    return jobs.why_not()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFiles:
    """Existing files of the newest finished export.

    Attributes:
        folder: Folder of the export.
        files: Files in the folder and its subfolders.
    """

    folder: Path
    files: tuple[Path, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return names and sizes; the files of a subfolder, such as one mesh per frame, form one row."""
        inside: dict[Path, list[int]] = {}
        for path in self.files:
            inside.setdefault(path if path.parent == self.folder else path.parent, []).append(path.stat().st_size)
        return [(f"{p.name} ({len(n)} files)" if p.is_dir() else p.name, _size(sum(n))) for p, n in inside.items()]


def written_files(jobs: JobBridge, exports: Path) -> WrittenFiles | None:
    """Return the files of the newest finished export; None if none of them exists.

    Args:
        jobs: Jobs of the session.
        exports: Folder of the session for exports, in case the session was moved or copied since.
    """
    job = max(
        (j for j in jobs.jobs if j.verb == "export" and j.state == "finished"),
        key=lambda j: j.ended_s or 0,
        default=None,
    )
    if job is None:  # or one of so long ago that it is not listed any more
        files = tuple(newest_export(exports))
        return WrittenFiles(folder=exports, files=files) if files else None
    then = Path(job.result["folder"])
    now = then if job.job.spec.params.get("folder") else exports
    paths = [now / Path(path).relative_to(then) for path in job.result.get("files", ())]
    files = tuple(path for path in paths if path.exists())
    return WrittenFiles(folder=now, files=files) if files else None


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3)):,} kB"
