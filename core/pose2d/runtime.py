"""ONNX models in memory: which processor runs them, said in words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from core.errors import CoreError
from core.pose2d.estimator import Provider

_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider", "the NVIDIA GPU (CUDA)", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "Apple's CoreML", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "the GPU through DirectML", "onnxruntime-directml"),
    "cpu": ("CPUExecutionProvider", "the CPU", "onnxruntime"),
}
_MAX_THREADS = 16
# One run prepares while another computes; a DirectML session must not run twice at once at all.
_AT_ONCE = {"cuda": 2, "coreml": 1, "directml": 1}


class OnnxModel:
    """One ONNX model, ready to run.

    Args:
        path: The model's file.
        inputs: Names of the inputs it must have; an empty name stands for any.
        outputs: Names of the outputs it must have, in the order in which `__call__` returns them; a single empty name
            stands for the only output of the model, whatever it is called.
        provider: "auto" or one of the named providers.
        threads: CPU threads; 0 takes all cores that this process may use.

    Raises:
        CoreError: No such file, not an ONNX model, other inputs or outputs, or a provider that this machine lacks.
    """

    def __init__(
        self,
        path: Path,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        provider: str = "auto",
        threads: int = 0,
    ) -> None:
        self.path = path
        self.threads = threads or cpu_threads()
        self._session, self.provider = _open(path, provider, self.threads)
        self._inputs = [i.name for i in self._session.get_inputs()]
        found = [o.name for o in self._session.get_outputs()]
        self._outputs = found if list(outputs) == [""] else list(outputs)
        fits = len(self._inputs) == len(inputs) and all(n in ("", f) for n, f in zip(inputs, self._inputs, strict=True))
        if not fits or (len(found) != 1 if list(outputs) == [""] else not set(found).issuperset(outputs)):
            raise CoreError(
                f"{path.name} is not the model that was expected: it has inputs {', '.join(self._inputs)} and outputs "
                f"{', '.join(sorted(found))}; expected outputs {', '.join(outputs) or 'one'}.",
                "Choose the ONNX file named on the model's card.",
            )

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Runs the model; outputs in the order asked for at construction."""
        try:
            fed = dict(zip(self._inputs, inputs, strict=True))
            return [np.asarray(o) for o in self._session.run(self._outputs, fed)]
        except Exception as error:
            raise CoreError(
                f"{self.path.name} failed on {self.provider.name}: {_first_line(error)}",
                "Set the provider to 'cpu', or lower the input size if memory ran out.",
            ) from error

    @property
    def any_batch(self) -> bool:
        """Whether the first input takes any number of images at once."""
        return not isinstance(self._shape()[0], int)

    def input_size(self, default: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the first input (N, 3, H, W), or the default where the model leaves them free."""
        height, width = self._shape()[2:]
        fixed = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
        return (width, height) if fixed else default

    def _shape(self) -> list[Any]:
        shape = list(self._session.get_inputs()[0].shape)
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise CoreError(
                f"{self.path.name} does not take images: its input has shape {shape}, expected (N, 3, H, W).",
                "Choose the ONNX file named on the model's card.",
            )
        return shape


def cpu_threads() -> int:
    """CPU cores that this process may use, at most 16: more threads do not help models of this size."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(count, _MAX_THREADS)


def _open(path: Path, wanted: str, threads: int) -> tuple[onnxruntime.InferenceSession, Provider]:
    if not path.is_file():
        raise CoreError(f"The model file {path} does not exist.", "Choose an ONNX file, or allow the download.")
    troubles: list[str] = []
    for name in _candidates(wanted):
        provider, words, _ = _PROVIDERS[name]
        try:
            session = _session(path, provider, threads)
        except CoreError:
            # Only the CPU tells a bad model from a bad driver.
            if name == "cpu":
                raise
            session = None
        if session is not None and provider in session.get_providers():
            at_once = cpu_threads() if name == "cpu" else _AT_ONCE[name]
            return session, Provider(name, _sentence(name, words, troubles), at_once)
        troubles.append(f"{words} was found but could not be used")
    raise CoreError(
        f"{_PROVIDERS[wanted][1]} could not be used."
        if wanted != "auto"
        else "onnxruntime has no provider that works.",
        "Check the driver and libraries, or set the provider to 'cpu'.",
    )


def _candidates(wanted: str) -> list[str]:
    """Providers to try, best first."""
    if wanted != "auto" and wanted not in _PROVIDERS:
        raise CoreError(f"There is no provider '{wanted}'.", f"Known: auto, {', '.join(_PROVIDERS)}.")
    available = set(onnxruntime.get_available_providers())
    if wanted == "auto":
        return [name for name, (provider, _, _) in _PROVIDERS.items() if provider in available]
    provider, words, package = _PROVIDERS[wanted]
    if provider not in available:
        raise CoreError(f"This onnxruntime cannot use {words}.", f"Install {package}, or set the provider to 'auto'.")
    return [wanted]


def _session(path: Path, provider: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if provider == "DmlExecutionProvider":
        options.enable_mem_pattern = False  # DirectML requires it
    # Waiting threads must not spin: the core they would burn is the one that decodes the next image.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider == "CUDAExecutionProvider" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    providers = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise CoreError(
            f"{path.name} is not an ONNX model that can be run: {_first_line(error)}",
            "Choose the ONNX file named on the model's card, or delete it and download it again.",
        ) from error


def _sentence(name: str, words: str, troubles: list[str]) -> str:
    text = f"2D poses run on {words}"
    if troubles:
        text += f"; {', '.join(troubles)}: check its driver and libraries"
    elif name == "cpu" and shutil.which("nvidia-smi"):
        text += "; an NVIDIA driver is installed: with onnxruntime-gpu in place of onnxruntime it would be used"
    return text + "."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
