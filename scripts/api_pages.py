"""Write API pages from the docstrings of `core` and `studio` with pdoc.

python scripts/api_pages.py --out build/api
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def main() -> None:
    """Parse the command line and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/api"), help="Folder to write the HTML pages to.")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

    import pdoc

    pdoc.render.configure(docformat="google", search=True)
    pdoc.pdoc("core", "studio", output_directory=options.out)
    print(f"API pages: {options.out / 'index.html'}")


if __name__ == "__main__":
    main()
