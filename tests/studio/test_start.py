"""Tests of the start: no torch in the window, logging, and handling of uncaught errors."""

from __future__ import annotations

import logging
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from studio.app import run_window
from studio.gc_guard import GcGuard
from studio.log import CrashReporter, start_logging
from studio.shell.dialogs import ErrorDialog


@pytest.mark.slow
def test_no_torch_in_the_windows_process() -> None:
    code = (
        "import sys, importlib\n"
        "import studio.app\n"
        "from studio.pages.registry import PAGES\n"
        "[importlib.import_module(p.factory.partition(':')[0]) for p in PAGES]\n"
        "sys.exit(int('torch' in sys.modules or 'onnxruntime' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version_and_bad_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_window(["--version"])
    assert ended.value.code == 0
    assert "selfpose-studio" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run_window(["--nonsense"])
    assert ended.value.code == 2


def test_an_uncaught_error_is_logged_and_shown_with_its_traceback(dressed: QApplication, qtbot, tmp_path: Path) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    file = start_logging(tmp_path)
    reporter = CrashReporter(file)
    try:
        try:
            raise ZeroDivisionError("on purpose")
        except ZeroDivisionError as error:
            reporter.handle(type(error), error, error.__traceback__)
        dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ErrorDialog) and w.isVisible())
        assert "on purpose" in dialog.message.text()
        assert "test_start.py" in dialog.details.toPlainText()
        assert "ZeroDivisionError" in file.read_text(encoding="utf-8")
        dialog.show_details.click()
        assert dialog.details.isVisible()
        dialog.accept()
    finally:
        for handler in [h for h in root.handlers if h not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
        logging.captureWarnings(False)


def test_garbage_is_collected_by_the_timer_only(dressed: QApplication) -> None:
    import gc

    collector = GcGuard()
    try:
        assert not gc.isenabled()
        garbage: list[object] = []
        for _ in range(2000):
            item: list[object] = []
            item.append(item)
            garbage.append(item)
        del garbage, item
        before = gc.get_count()[0]
        collector.collect()
        assert gc.get_count()[0] < before
        orphan = QWidget()
        orphan.__dict__["me"] = orphan  # a window is such garbage once it is closed
        dead = weakref.ref(orphan)
        del orphan
    finally:
        collector.stop()
    assert gc.isenabled() and dead() is None, "left to a collection in another thread"
