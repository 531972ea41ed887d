"""Compute device and free disk space of this computer, without importing torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, Signal

_LOW_DISK_GB = 2.0


def cpu_text() -> str:
    """Return the CPU and its number of cores as text."""
    cores = os.cpu_count() or 1
    return f"CPU, {cores} core{'s' if cores != 1 else ''}"


def torch_build() -> str:
    """Return the backend of the installed torch: "cuda", "cpu" or "mps".

    It is derived from the version string, because importing torch takes seconds.
    """
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "cpu"
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    if "+cpu" in version:
        return "cpu"
    plain = "+" not in version
    # On PyPI, the Linux build includes CUDA, the Windows build does not.
    return "cpu" if plain and sys.platform == "win32" else "cuda"


def device_text(gpu_name: str, build: str) -> tuple[str, str]:
    """Describe the device on which jobs run.

    Args:
        gpu_name: Name of the NVIDIA GPU; empty if there is none.
        build: Result of `torch_build`.

    Returns:
        The device, and a warning if a GPU is unused (empty otherwise).
    """
    if gpu_name and build == "cuda":
        return gpu_name, ""
    if build == "mps":
        return "Apple GPU", ""
    if gpu_name:
        warning = f"{gpu_name} is not used: the installed PyTorch is a CPU build. Install the CUDA build of PyTorch."
        return cpu_text(), warning
    return cpu_text(), ""


def has_accelerator() -> bool:
    """Return whether jobs probably run on a GPU, judging by the build of torch and the installed driver tools."""
    build = torch_build()
    return build == "mps" or (build == "cuda" and shutil.which("nvidia-smi") is not None)


def disk_text(folder: Path) -> tuple[str, bool]:
    """Return the free space on the disk of a folder as text, and whether it is below 2 GB."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    text = f"{free_gb:,.0f} GB free" if free_gb >= 10 else f"{free_gb:.1f} GB free"
    return text, free_gb < _LOW_DISK_GB


class GpuQuery(QObject):
    """Query of the NVIDIA driver for its GPU, in a process that does not block the window.

    Signals:
        answered: Name of the first GPU; empty if there is none.
    """

    answered = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None

    def start(self) -> None:
        """Start the query, which ends with `answered`."""
        program = shutil.which("nvidia-smi")
        if program is None:
            self.answered.emit("")
            return
        self._process = QProcess(self)
        self._process.finished.connect(self._finished)
        self._process.start(program, ["--query-gpu=name", "--format=csv,noheader"])

    def _finished(self) -> None:
        assert self._process is not None
        lines = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace").splitlines()
        self.answered.emit(lines[0].strip() if self._process.exitCode() == 0 and lines else "")
