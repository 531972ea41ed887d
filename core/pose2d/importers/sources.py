"""Files and folders with the 2D poses of a camera each: where they are, and in which format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from core.documents.hdf5 import open_hdf5
from core.documents.tables import csv_rows
from core.errors import CoreError
from core.files import read_json
from core.pose2d.importers import POSE2D_IMPORTERS
from core.pose2d.importers.importer import REMEDY, CameraPeople, Container, Pose2DImporter
from core.pose2d.importers.openpose import image_files, is_image_document, name_start
from core.pose2d.importers.sleap_project import SleapVideo, project_videos

_CONTAINERS: dict[str, Container] = {
    ".json": "json",
    ".csv": "table",
    ".tsv": "table",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".slp": "project",
}
_UNREAD = {
    ".pickle": "a raw result of DeepLabCut: create its .h5 or .csv files first",
    ".pkl": "a pickle",
    ".npz": "an archive of arrays",
    ".npy": "an array",
    ".mat": "a file of MATLAB",
    ".parquet": "a Parquet file",
    ".zip": "an archive: unpack it",
}
READ = (
    "Read are folders of JSON files with an image each (OpenPose, rtmlib, Pose2Sim), JSON of AlphaPose, MMPose and "
    "COCO, projects of SLEAP, HDF5 and CSV of SLEAP and DeepLabCut, and CSV tables such as from MediaPipe."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSource:
    """2D poses of one camera.

    Attributes:
        name: Name that tells the camera.
        path: The file or folder.
        container: Kind of file.
        prefix: Start of the file names of the camera, where several share a folder.
        video: Number of the video in a project.
    """

    name: str
    path: Path
    container: Container
    prefix: str | None = None
    video: int = 0

    @property
    def files(self) -> list[Path]:
        """Files of a folder, in order."""
        return image_files(self.path, self.prefix)


def find_sources(path: Path) -> tuple[list[PoseSource], list[str]]:
    """Return the 2D poses at a path: a file of one camera, or a folder with a file or folder for each camera.

    Returns:
        The sources, and the names of files and folders that were left out.

    Raises:
        CoreError: There is nothing at the path that could be 2D poses.
    """
    try:
        if path.is_file():
            return _file_sources(path, path.stem), []
        if not path.is_dir():
            raise CoreError(
                f"There is no file or folder {path}.", "Choose the folder with the 2D poses of all cameras."
            )
        sources, left_out = _in_folder(path, 0)
    except OSError as error:
        raise CoreError(f"{path} cannot be read: {error.strerror or error}.", "Check the folder.") from error
    if not sources:
        found = f" It holds {', '.join(left_out[:6])}." if left_out else " It is empty."
        raise CoreError(
            f"{path} has no 2D poses in a format that is read.{found}",
            f"It needs a folder or a file for each camera, named after it. {READ}",
        )
    return sources, left_out


def _file_sources(path: Path, name: str) -> list[PoseSource]:
    """Return the source that a file is, or those of a project, one for each video."""
    container = _CONTAINERS.get(path.suffix.casefold())
    if container is None:
        what = _UNREAD.get(path.suffix.casefold(), "a file of an unknown kind")
        raise CoreError(f"{path.name} is {what}, which is not read.", READ)
    if container != "project":
        return [PoseSource(name=name, path=path, container=container)]
    with open_hdf5(path) as file:
        videos = project_videos(file)
    return [
        PoseSource(name=name if len(videos) == 1 else video, path=path, container=container, video=number)
        for number, video in videos.items()
    ]


def _in_folder(folder: Path, depth: int) -> tuple[list[PoseSource], list[str]]:
    """Return the sources in a folder and what is left out."""
    children = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    files = [p for p in children if p.is_file()]
    sources, left_out = _of_files(folder, files)
    nested: list[tuple[Path, list[PoseSource]]] = []
    for child in (p for p in children if p.is_dir()):
        own, _ = _of_files(child, sorted(p for p in child.iterdir() if p.is_file() and not p.name.startswith(".")))
        if len(own) == 1:
            sources.append(replace(own[0], name=child.name))
        elif own and all(source.container == "folder" for source in own) and not _several_cameras(own):
            # Names within the folder may differ for any reason: it is one camera unless two images have one number.
            sources.append(PoseSource(name=child.name, path=child, container="folder"))
        elif depth < 2:
            deeper = _in_folder(child, depth + 1)[0]
            nested += [(child, deeper)] if deeper else []
            left_out += [] if deeper else [child.name]
        else:
            left_out.append(child.name)
    if not sources and len(nested) == 1:
        return nested[0][1], left_out
    for child, deeper in nested:
        if len(deeper) == 1:
            sources.append(replace(deeper[0], name=child.name))
        else:
            left_out.append(child.name)
    return sources, left_out


def _several_cameras(sources: Sequence[PoseSource]) -> bool:
    """Return whether files of one folder, grouped by the start of their names, repeat the number of an image."""
    numbers = [number for s in sources for number in {file.stem.removeprefix(s.prefix or "") for file in s.files}]
    return len(set(numbers)) < len(numbers)


def _of_files(folder: Path, files: Sequence[Path]) -> tuple[list[PoseSource], list[str]]:
    """Return the sources that the files of a folder make, and the names of the others."""
    known = [file for file in files if file.suffix.casefold() in _CONTAINERS]
    left_out = [file.name for file in files if file not in known]
    documents = [file for file in known if file.suffix.casefold() == ".json"]
    sources = []
    if documents and _is_image_file(documents[0]):
        starts = [prefix for prefix, _ in groupby(documents, name_start)]
        if len(set(starts)) == 1:
            sources.append(PoseSource(name=folder.name, path=folder, container="folder"))
        else:
            sources += [
                PoseSource(name=prefix or folder.name, path=folder, container="folder", prefix=prefix)
                for prefix in dict.fromkeys(starts)
            ]
        documents = []
    singles = [file for file in known if file in documents or file.suffix.casefold() != ".json"]
    # Of results in several formats, as DeepLabCut writes them, one is enough.
    order = {".csv": 0, ".tsv": 1, ".json": 2, ".h5": 3, ".hdf5": 4, ".slp": 5}
    for stem, group in groupby(sorted(singles, key=lambda p: p.stem), lambda p: p.stem):
        best, *others = sorted(group, key=lambda p: order[p.suffix.casefold()])
        sources += _file_sources(best, stem)
        left_out += [other.name for other in others]
    return sources, left_out


def _is_image_file(file: Path) -> bool:
    try:
        return is_image_document(read_json(file))
    except CoreError:
        return any(c.isdigit() for c in file.stem)  # a damaged file among others is reported when it is read


@contextmanager
def _content(source: PoseSource) -> Iterator[Any]:
    match source.container:
        case "folder":
            yield source.files
        case "json":
            yield read_json(source.path)
        case "table":
            yield [row for _, row in csv_rows(source.path)]
        case "hdf5":
            with open_hdf5(source.path) as file:
                yield file
        case "project":
            with open_hdf5(source.path) as file:
                yield SleapVideo(file, source.video)


def read_source(source: PoseSource, name: str) -> tuple[Pose2DImporter, CameraPeople]:
    """Read the poses of one camera.

    Args:
        source: File or folder.
        name: Name of the format, or "auto" to detect it.

    Raises:
        CoreError: The format is unknown, or the content is damaged.
    """
    importers = [POSE2D_IMPORTERS.get(n) for n in (POSE2D_IMPORTERS if name == "auto" else [name])]
    where = source.path.name
    with _content(source) as content:
        for importer in importers:
            try:
                if importer.container != source.container or not importer.accepts(content):
                    continue
                return importer, _checked(importer.read(content, where), where)
            except CoreError:
                raise
            except Exception as error:
                # The readers take the structure of their format for granted; whatever differs is damage.
                what = f"{type(error).__name__}: {error}"[:200]
                raise CoreError(f"{where} is damaged, or no file of {importer.title} ({what}).", REMEDY) from error
    formats = "any known format" if name == "auto" else importers[0].title
    raise CoreError(f"{where} is not a file of {formats}.", READ)


def _checked(read: CameraPeople, where: str) -> CameraPeople:
    sizes = sorted({len(person) for person in read.persons})
    if len(sizes) > 1:
        raise CoreError(
            f"{where} has people with {sizes[0]} and with {sizes[-1]} joints.", "Use one joint set for all people."
        )
    if read.joints and sizes and len(read.joints) != sizes[0]:
        raise CoreError(f"{where} names {len(read.joints)} joints, but people have {sizes[0]}.", REMEDY)
    if not read.people:
        raise CoreError(f"{where} contains no images.", REMEDY)
    return read
