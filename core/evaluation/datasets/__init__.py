"""Public data sets in the folders that their authors lay out. A new one is a module with a `READER` and a line here.

Nothing in a file is run: MATLAB files are read as arrays, pickles as numbers only.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import CoreError
from core.evaluation.datasets.dataset import REMEDY, DataSet, DataSetReader, Selection, Split, rows_of
from core.registry import Registry

__all__ = ["DATA_SETS", "DataSet", "DataSetReader", "Selection", "Split", "read_dataset", "rows_of"]

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
    """Reads a part of a data set.

    Args:
        folder: A sequence of CMU Panoptic, or the folder of Shelf or Campus.
        kind: Name in `DATA_SETS`, or "auto" to tell by the files.
        split: Which part.
        cameras: Names; empty for those that papers use.

    Raises:
        CoreError: An unknown kind, a missing or damaged file, or nobody in it.
    """
    folder = Path(folder).expanduser()
    if kind != "auto" and kind not in DATA_SETS:
        DATA_SETS.get(kind)
    if not folder.is_dir():
        raise CoreError(f"There is no folder {folder}.", REMEDY)
    reader = DATA_SETS.get(kind) if kind != "auto" else _recognised(folder)
    return reader.read(folder.resolve(), Selection(split=split, cameras=cameras))


def _recognised(folder: Path) -> DataSetReader:
    readers = [DATA_SETS.get(name) for name in DATA_SETS]
    for reader in readers:
        if reader.recognises(folder):
            return reader
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
        if any(reader.recognises(inner) for reader in readers):
            raise CoreError(f"{folder.name} is a folder of data sets.", f"Choose one of them, such as {inner.name}.")
    titles = "; ".join(reader.title for reader in readers)
    raise CoreError(f"{folder.name} is no data set that is known here.", f"Known: {titles}. {REMEDY}")
