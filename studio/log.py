"""Log file of the window, and handling of unexpected errors."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import traceback
from pathlib import Path
from types import TracebackType

import platformdirs
from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QDialog

from core import NAME
from core.errors import CoreError

_logger = logging.getLogger(NAME)
_MAX_BYTES = 1_000_000
_QT_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def log_folder() -> Path:
    """Return the folder of the log files."""
    return platformdirs.user_log_path(NAME, appauthor=False)


def start_logging(folder: Path | None = None) -> Path:
    """Log to a file (rotated at 1 MB, with three backups), and warnings to the terminal as well.

    Args:
        folder: Folder of the log file; None for `log_folder`.

    Returns:
        The log file.
    """
    folder = folder or log_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "studio.log"
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_MAX_BYTES, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    root.addHandler(terminal)
    logging.captureWarnings(True)
    qInstallMessageHandler(_qt_message)
    return file


def _qt_message(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    logging.getLogger(f"{NAME}.qt").log(_QT_LEVELS.get(kind, logging.WARNING), "%s", text)


class CrashReporter(QObject):
    """Handler of uncaught exceptions, which logs them and shows one dialog at a time.

    Args:
        file: The log file, named in the dialog.
        parent: Owner.
    """

    _caught = Signal(str, str, str)

    def __init__(self, file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = file
        self._dialog: QDialog | None = None  # a dialog without a parent window has no other reference
        self._caught.connect(self._show)

    def install(self) -> None:
        """Install this handler as `sys.excepthook`."""
        sys.excepthook = self.handle

    def handle(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log and show an exception; signature of `sys.excepthook`."""
        if issubclass(kind, KeyboardInterrupt):
            application = QApplication.instance()
            if application is not None:
                application.quit()
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        _logger.error("Uncaught error\n%s", text)
        if isinstance(error, CoreError):
            self._caught.emit(error.message, error.hint, "")
            return
        hint = f"The program keeps running. Please report this bug with the details; the log is in {self._file}."
        self._caught.emit(f"{kind.__name__}: {error}", hint, text)

    def _show(self, message: str, hint: str, details: str) -> None:
        from studio.shell.dialogs import ErrorDialog

        if self._dialog is not None:
            return  # repeated errors, such as in a timer, are only logged
        self._dialog = ErrorDialog(message, hint, details, QApplication.activeWindow())
        self._dialog.finished.connect(self._closed)
        self._dialog.open()

    def _closed(self) -> None:
        self._dialog = None
