"""Entry point of the window."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QApplication

from core import NAME, __version__
from studio.display import display_problem
from studio.gc_guard import GcGuard
from studio.icons import icon
from studio.log import CrashReporter, start_logging
from studio.main_window import MainWindow
from studio.settings import SettingsStore, user_settings_file
from studio.shell.dialogs import ErrorDialog
from studio.state.app_state import AppState
from studio.theme import apply_theme


def run_window(argv: Sequence[str] | None = None) -> int:
    """Open the window and run its event loop.

    Args:
        argv: Arguments without the program name; None for those of the process.

    Returns:
        The exit code.
    """
    arguments = _parse(sys.argv[1:] if argv is None else list(argv))
    problem = "" if QApplication.instance() else display_problem()
    if problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    log_file = start_logging()
    # With shared GL contexts, the 3D view keeps its content when moved to another window.
    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
    app = QApplication.instance() or QApplication([NAME])
    assert isinstance(app, QApplication)
    app.setApplicationName(NAME)
    app.setApplicationDisplayName("SelfPose Studio")
    app.setApplicationVersion(__version__)
    crash = CrashReporter(log_file)
    crash.install()
    gc_guard = GcGuard()
    settings = SettingsStore(user_settings_file())
    apply_theme(app, settings.value.theme)
    app.setWindowIcon(icon("logo", "accent"))
    code = _show(app, settings, arguments)
    # Background threads may still run: collected by the automatic collector, the window could die in one of them.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc_guard.stop()
    return code


def _show(app: QApplication, settings: SettingsStore, arguments: argparse.Namespace) -> int:
    window = MainWindow(AppState(settings))
    window.show()
    if settings.complaint:
        ErrorDialog("Some settings could not be read.", settings.complaint, parent=window).open()
    if arguments.sample or (arguments.session is None and settings.is_new):
        window.open_sample()
    elif arguments.session is not None:
        window.pages.when_complete(lambda: window.open_path(arguments.session))
    code = app.exec()
    window.deleteLater()
    return code


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=NAME, description="Markerless multi-view motion capture.")
    parser.add_argument("session", nargs="?", type=Path, help="session folder to open")
    parser.add_argument("--sample", action="store_true", help="open the embedded sample session")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_window())
