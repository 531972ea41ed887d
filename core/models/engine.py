"""OpenVINO inference of trained networks, faster than torch on a CPU; used where the package is installed.

The network is converted operation by operation from its torch graph (0.01 s per network, against 1 s for the library's
converter) and compiled for each input shape. Results are equal up to rounding. Without the package, torch runs the
network.

Legend: B batch, C channel.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

_PRECISIONS = {None: "f32", torch.bfloat16: "bf16"}
_SAME = {"contiguous", "float", "to"}
"""Methods that do not change values."""
_POOLS = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)


@functools.cache
def openvino() -> Any:
    """Return the package, or None if it is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return None
    # OpenVINO reports its import through this package, and works without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def engine_name(device: torch.device) -> str:
    """Return the name of the engine that runs frozen networks on a device."""
    package = openvino() if device.type == "cpu" else None
    return f"torch {torch.__version__}" if package is None else f"OpenVINO {package.__version__.partition('-')[0]}"


def openvino_engine(network: nn.Module, dtype: torch.dtype | None) -> Callable[[Tensor], Tensor] | None:
    """Return an engine that runs a folded network faster than torch, or None on other devices or without OpenVINO.

    Args:
        network: Network; see `OpenVinoNetwork`.
        dtype: Compute dtype; None for float32.
    """
    if next(network.parameters()).device.type != "cpu" or openvino() is None:
        return None
    return OpenVinoNetwork(network, dtype)


class OpenVinoNetwork:
    """Network with one input and one output, run by OpenVINO.

    Entries of a batch run in parallel, one core each, without synchronisation; a single entry uses all cores.

    Args:
        network: Network with `_forward`, in evaluation mode and float32, batch norms folded.
        dtype: Compute dtype; None for float32.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None) -> None:
        self._graph = _Graph(network)
        self._precision = _PRECISIONS[dtype]
        self._compiled: dict[tuple[tuple[int, ...], bool], Any] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) float32 to the network's output."""
        entries = x.detach().contiguous().numpy()
        alone = len(entries) == 1
        key = (entries.shape[1:], alone)
        if key not in self._compiled:
            self._compiled[key] = self._compile(entries.shape[1:], alone)
        results: list[np.ndarray] = [np.empty(0)] * len(entries)

        def keep(request: Any, index: int) -> None:
            results[index] = request.get_output_tensor(0).data[0].copy()

        queue = self._compiled[key]
        queue.set_callback(keep)
        for index in range(len(entries)):
            queue.start_async([entries[index : index + 1]], index, share_inputs=True)
        queue.wait_all()
        return torch.from_numpy(np.stack(results))

    def _compile(self, shape: tuple[int, ...], alone: bool) -> Any:
        package = openvino()
        threads = torch.get_num_threads()
        streams = 1 if alone else threads
        compiled = package.Core().compile_model(
            self._graph.build(package, (1, *shape)),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": self._precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": streams,
                "ENABLE_CPU_PINNING": False,  # leave cores to other jobs and the window
            },
        )
        return package.AsyncInferQueue(compiled, streams)


class _Graph:
    """Recorded operations of a network."""

    def __init__(self, network: nn.Module) -> None:
        body = _Body(network)
        self._nodes = list(fx.Tracer().trace(body).nodes)
        self._modules = dict(body.named_modules())

    def build(self, package: Any, shape: tuple[int, ...]) -> Any:
        """Build an OpenVINO model for one input shape."""
        ops = importlib.import_module("openvino.opset13")
        x = ops.parameter(list(shape), np.float32)
        made: dict[fx.Node, Any] = {}
        for node in self._nodes:
            inputs = [made[n] for n in node.all_input_nodes]
            if node.op == "placeholder":
                made[node] = x
            elif node.op == "output":
                return package.Model(inputs, [x], "network")
            elif node.op == "call_module":
                made[node] = _layer(ops, self._modules[str(node.target)], inputs[0])
            elif node.op == "call_function":
                made[node] = _function(ops, node, inputs)
            elif node.op == "call_method" and node.target in _SAME:
                made[node] = inputs[0]
            else:
                raise NotImplementedError(f"{node.op} {node.target}")
        raise AssertionError("a graph without an output")


class _Body(nn.Module):
    """Network without the dtype conversions at its ends."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, x: Tensor) -> Any:
        """Run the network."""
        return self.network._forward(x)


def _layer(ops: Any, layer: nn.Module, x: Any) -> Any:
    if isinstance(layer, nn.Identity):
        return x
    if isinstance(layer, nn.ReLU):
        return ops.relu(x)
    if not isinstance(
        layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
    ):
        raise NotImplementedError(f"{type(layer).__name__}")
    turn = ops.convolution_backprop_data if layer.transposed else ops.convolution
    pads = list(layer.padding)
    weight = ops.constant(layer.weight.detach().float().contiguous().numpy())
    out = turn(x, weight, list(layer.stride), pads_begin=pads, pads_end=pads, dilations=list(layer.dilation))
    if layer.bias is None:
        return out
    bias = layer.bias.detach().float().numpy().reshape(1, -1, *[1] * len(pads))
    return ops.add(out, ops.constant(bias))


def _function(ops: Any, node: fx.Node, inputs: list[Any]) -> Any:
    if node.target in (operator.add, torch.add):
        return ops.add(*inputs)
    if node.target in (functional.relu, torch.relu):
        return ops.relu(inputs[0])
    if node.target in _POOLS:
        dims = _POOLS.index(node.target) + 1
        kernel, stride, pad = ([int(size)] * dims for size in _pool(*node.args[1:], **node.kwargs))
        pooled = ops.max_pool(inputs[0], stride, [1] * dims, pad, pad, kernel, rounding_type="floor")
        return pooled.output(0)
    raise NotImplementedError(f"{node.target}")


def _pool(kernel_size: Any, stride: Any = None, padding: Any = 0, **rest: Any) -> tuple[Any, Any, Any]:
    """Return kernel, stride and padding of a pooling; other settings must have their defaults."""
    if rest.get("dilation", 1) != 1 or rest.get("ceil_mode") or rest.get("return_indices"):
        raise NotImplementedError(f"pooling with {rest}")
    return kernel_size, stride or kernel_size, padding
