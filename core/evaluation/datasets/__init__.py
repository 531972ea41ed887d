"""Readers of public data sets in the layouts of their authors. A new one is a module and a line in `DATA_SETS`.

No code from files is executed: MATLAB files are read as arrays, pickles as numbers only.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import CoreError
from core.evaluation.datasets.dataset import REMEDY, DataSet, DataSetReader, Selection, Split, select_frames
from core.registry import Registry

__all__ = ["DATA_SETS", "DataSet", "DataSetReader", "Selection", "Split", "read_dataset", "select_frames"]

DATA_SETS: Registry[DataSetReader] = Registry(
    "data set",
    {
        "panoptic": "core.evaluation.datasets.panoptic:READER",
        "shelf": "core.evaluation.datasets.actors:SHELF",
        "campus": "core.evaluation.datasets.actors:CAMPUS",
    },
)


def read_dataset(
    folder: Path | str, kind: str = "auto", split: Split = "test", cameras: tuple[str, ...] = ()
) -> DataSet:
    """Read a part of a data set.

    Args:
        folder: Folder of a CMU Panoptic sequence, or of Shelf or Campus.
        kind: Name in `DATA_SETS`, or "auto" to recognise the layout.
        split: Frames to read.
        cameras: Camera names; empty for those that papers use.

    Raises:
        CoreError: The kind is unknown, a file is missing or damaged, or no person is annotated.
    """
    folder = Path(folder).expanduser()
    if kind != "auto" and kind not in DATA_SETS:
        DATA_SETS.get(kind)
    if not folder.is_dir():
        raise CoreError(f"Folder {folder} does not exist.", REMEDY)
    reader = DATA_SETS.get(kind) if kind != "auto" else _recognised(folder)
    return reader.read(folder.resolve(), Selection(split=split, cameras=cameras))


def _recognised(folder: Path) -> DataSetReader:
    readers = [DATA_SETS.get(name) for name in DATA_SETS]
    for reader in readers:
        if reader.recognises(folder):
            return reader
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
        if any(reader.recognises(inner) for reader in readers):
            raise CoreError(
                f"{folder.name} contains folders of data sets.", f"Choose one of them, such as {inner.name}."
            )
    titles = "; ".join(reader.title for reader in readers)
    raise CoreError(f"{folder.name} is not a known data set.", f"Known: {titles}. {REMEDY}")
