"""The machine in words: what jobs compute on, how much disk is left. Without importing torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, Signal


def processor_words() -> str:
    """The processor, for when there is no accelerator."""
    cores = os.cpu_count() or 1
    return f"CPU, {cores} core{'s' if cores != 1 else ''}"


def torch_build() -> str:
    """What the installed torch can use: "cuda", "cpu" or "mps"; judged from its version, without importing it."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "cpu"
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    if "+cpu" in version:
        return "cpu"
    plain = "+" not in version
    return "cpu" if plain and sys.platform == "win32" else "cuda"  # PyPI's Windows build has no CUDA, its Linux one has


def device_words(gpu_name: str, build: str) -> tuple[str, str]:
    """What jobs run on, and a remark if that is less than the machine has.

    Args:
        gpu_name: Name of an NVIDIA GPU, empty if there is none.
        build: As `torch_build`.
    """
    if gpu_name and build == "cuda":
        return gpu_name, ""
    if build == "mps":
        return "Apple GPU", ""
    if gpu_name:
        remark = (
            f"This machine has an {gpu_name}, but the installed PyTorch is built for the CPU. Install its CUDA build."
        )
        return processor_words(), remark
    return processor_words(), ""


def has_accelerator() -> bool:
    """Whether jobs seem to have a GPU: torch is built for one, and its driver's tools are there."""
    build = torch_build()
    return build == "mps" or (build == "cuda" and shutil.which("nvidia-smi") is not None)


def disk_words(folder: Path) -> tuple[str, bool]:
    """Free space where the session lies, and whether it is getting tight."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    words = f"{free_gb:,.0f} GB free" if free_gb >= 10 else f"{free_gb:.1f} GB free"
    return words, free_gb < 2.0


class GpuQuestion(QObject):
    """Asks the NVIDIA driver for its GPU, without holding up the window.

    Signals:
        answered: Name of the first GPU; empty if there is none.
    """

    answered = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None

    def ask(self) -> None:
        """Starts asking; `answered` follows."""
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
