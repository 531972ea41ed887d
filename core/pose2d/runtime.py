"""Inference with onnxruntime: loading of models, choice of the execution provider, and tasks in threads."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime

from core.errors import CoreError
from core.pose2d.estimator import Provider

T = TypeVar("T")
_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider", "the NVIDIA GPU (CUDA)", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "Apple's CoreML", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "the GPU through DirectML", "onnxruntime-directml"),
    "cpu": ("CPUExecutionProvider", "the CPU", "onnxruntime"),
}
_MAX_THREADS = 16
# With 2, one call prepares its input while the other computes; DirectML sessions do not support concurrent calls.
_CONCURRENCY = {"cuda": 2, "coreml": 1, "directml": 1}


class OnnxModel:
    """Loaded ONNX model.

    Args:
        path: ONNX file.
        inputs: Names of the expected inputs; an empty name matches any.
        outputs: Names of the expected outputs, in the order in which `__call__` returns them; a single empty name
            matches the only output.
        provider: Name of the execution provider, or "auto".
        threads: Number of CPU threads; 0 uses all cores available to the process.

    Raises:
        CoreError: The file is missing, is not an ONNX model, has unexpected inputs or outputs, or the provider is
            unavailable.
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
                f"{path.name} is not the expected model: it has inputs {', '.join(self._inputs)} and outputs "
                f"{', '.join(sorted(found))}; expected outputs {', '.join(outputs) or 'one'}.",
                "Choose the ONNX file named on the model's card.",
            )

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Run the model and return the outputs in the order given at construction."""
        try:
            feeds = dict(zip(self._inputs, inputs, strict=True))
            return [np.asarray(o) for o in self._session.run(self._outputs, feeds)]
        except Exception as error:
            raise CoreError(
                f"{self.path.name} failed on {self.provider.name}: {_first_line(error)}",
                "Set the provider to 'cpu', or reduce the input size if memory ran out.",
            ) from error

    @property
    def any_batch(self) -> bool:
        """True if the batch size of the first input is free."""
        return not isinstance(self._shape()[0], int)

    def input_size(self, default: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the first input (N, 3, H, W), or the default if the model leaves them free."""
        height, width = self._shape()[2:]
        fixed = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
        return (width, height) if fixed else default

    def _shape(self) -> list[Any]:
        shape = list(self._session.get_inputs()[0].shape)
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise CoreError(
                f"The input of {self.path.name} has shape {shape}, expected images (N, 3, H, W).",
                "Choose the ONNX file named on the model's card.",
            )
        return shape


def results_in_order(submitted: Iterable[Future[T]], ahead: int) -> Iterator[T]:
    """Yield the results of tasks in order, with up to `ahead` later tasks in the pool.

    Pending tasks are cancelled when the generator ends, fails or is closed.

    Args:
        submitted: Iterable that submits a task each time it is advanced.
        ahead: Maximum number of tasks in the pool besides the one to return next.
    """
    waiting: deque[Future[T]] = deque()
    try:
        for future in submitted:
            waiting.append(future)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def cpu_threads() -> int:
    """Return the number of CPU cores available to this process, at most 16: more do not speed up these models."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(count, _MAX_THREADS)


def _open(path: Path, requested: str, threads: int) -> tuple[onnxruntime.InferenceSession, Provider]:
    if not path.is_file():
        raise CoreError(f"The model file {path} does not exist.", "Choose an ONNX file, or allow the download.")
    failures: list[str] = []
    for name in _candidates(requested):
        provider, title, _ = _PROVIDERS[name]
        try:
            session = _session(path, provider, threads)
        except CoreError:
            # On an accelerator the driver may be the cause; on the CPU it is the model.
            if name == "cpu":
                raise
            session = None
        if session is not None and provider in session.get_providers():
            concurrency = cpu_threads() if name == "cpu" else _CONCURRENCY[name]
            return session, Provider(name, _description(name, title, failures), concurrency)
        failures.append(f"{title} was found but could not be used")
    raise CoreError(
        f"{_PROVIDERS[requested][1]} could not be used."
        if requested != "auto"
        else "None of onnxruntime's execution providers works.",
        "Check the driver and its libraries, or set the provider to 'cpu'.",
    )


def _candidates(requested: str) -> list[str]:
    """Return the providers to try, fastest first."""
    if requested != "auto" and requested not in _PROVIDERS:
        raise CoreError(f"Unknown provider '{requested}'.", f"Known: auto, {', '.join(_PROVIDERS)}.")
    available = set(onnxruntime.get_available_providers())
    if requested == "auto":
        return [name for name, (provider, _, _) in _PROVIDERS.items() if provider in available]
    provider, title, package = _PROVIDERS[requested]
    if provider not in available:
        raise CoreError(
            f"The installed onnxruntime does not support {title}.", f"Install {package}, or set the provider to 'auto'."
        )
    return [requested]


def _session(path: Path, provider: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if provider == "DmlExecutionProvider":
        options.enable_mem_pattern = False  # DirectML requires it
    # Idle threads must not spin: they would occupy the core that decodes the next image.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider == "CUDAExecutionProvider" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    providers = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise CoreError(
            f"{path.name} is not a valid ONNX model: {_first_line(error)}",
            "Choose the ONNX file named on the model's card, or delete it and download it again.",
        ) from error


def _description(name: str, title: str, failures: list[str]) -> str:
    text = f"2D pose estimation runs on {title}"
    if failures:
        text += f"; {', '.join(failures)}: check its driver and libraries"
    elif name == "cpu" and shutil.which("nvidia-smi"):
        text += "; install onnxruntime-gpu in place of onnxruntime to use the NVIDIA GPU"
    return text + "."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
