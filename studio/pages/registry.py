"""Table of the pages, in the order of the workflow.

A page is one folder with a `PAGE` in its `__init__.py`, and one entry in `PAGES`.
"""

from __future__ import annotations

from studio.pages import calibrate, export, live, record, train, view

PAGES = (calibrate.PAGE, record.PAGE, train.PAGE, view.PAGE, export.PAGE, live.PAGE)
