"""Read the 3D poses of a take with xarray, and with movement if it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray


def main(path: Path) -> None:
    """Print the mean speed of each person's joints."""
    with xarray.open_dataset(path) as poses:
        speed = poses.position.differentiate("time").pipe(lambda v: np.sqrt((v**2).sum("space", skipna=False)))
        mean = speed.mean([name for name in speed.dims if name.startswith("keypoint")])
        for person in mean.transpose(..., "time"):
            print(f"{np.nanmean(person.values):.0f} mm/s")
    try:
        from movement.io import load_dataset
    except ImportError:
        print("movement is not installed; it reads the same file with movement.io.load_dataset.")
    else:
        print(load_dataset(path, source_software="movement"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
