"""Small ONNX graphs whose outputs are known functions of the image.

They stand where the published weights cannot be fetched: every step around the network (resize, colours, normalisation,
crop, decode, map back to pixels) is real, runs through onnxruntime, and has an exact truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

JOINTS = 17
COLOURS = [1 if j % 2 == 0 else 2 for j in range(JOINTS)]
"""RGB channel of each joint: green for even joints, blue for odd ones; red marks the person."""

RANK = {"dets": 3, "labels": 2, "simcc_x": 3, "simcc_y": 3, "heat": 4, "keypoints": 4}
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)


class Graph:
    """Graph under construction; `constant` and `node` return the name of the new node."""

    def __init__(self, shape: list[Any]) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._shape = shape

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def save(self, path: Path, outputs: list[str]) -> Path:
        infos = [
            helper.make_tensor_value_info(
                o, TensorProto.INT64 if o == "labels" else TensorProto.FLOAT, [None] * RANK[o]
            )
            for o in outputs
        ]
        image = helper.make_tensor_value_info("input", TensorProto.FLOAT, self._shape)
        graph = helper.make_graph(self._nodes, "known", [image], infos, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path

    def denormalised(self) -> str:
        """Add the RGB input in 0..1, with the normalisation undone."""
        std, mean = self.constant(STD.reshape(1, 3, 1, 1) / 255), self.constant(MEAN.reshape(1, 3, 1, 1) / 255)
        return self.node("Add", self.node("Mul", "input", std), mean)

    def by_joint(self, image: str, *, bgr: bool = False) -> str:
        """Add the colour channel of each joint (N, 17, H, W)."""
        channels = [2 - c if bgr else c for c in COLOURS]
        return self.node("Gather", image, self.constant(channels, np.int64), axis=1)

    def red_box(self, *, threshold: float = 180.0) -> str:
        """Add the box (1, 1, 4) x0 y0 x1 y1 of the red pixels of a BGR image, from edge to edge."""
        red = self.node("Gather", "input", self.constant([2], np.int64), axis=1)
        mask = self.node("Cast", self.node("Greater", red, self.constant(threshold)), to=TensorProto.FLOAT)
        sides = []
        for axis, kept in ((2, 3), (3, 2)):  # the x side first
            line = self.node("ReduceMax", mask, axes=[axis], keepdims=1)
            first = self.node("ArgMax", line, axis=kept, keepdims=1)
            last = self.node("ArgMax", line, axis=kept, keepdims=1, select_last_index=1)
            for at, shift in ((first, -0.5), (last, 0.5)):
                value = self.node("Add", self.node("Cast", at, to=TensorProto.FLOAT), self.constant(shift))
                sides.append(self.node("Reshape", value, self.constant([1, 1, 1], np.int64)))
        x0, x1, y0, y1 = sides
        return self.node("Concat", x0, y0, x1, y1, axis=2)

    def detections(self, score: float) -> None:
        """Add the output `dets` (1, 1, 5): the red box with a score."""
        self.node("Concat", self.red_box(), self.constant([[[score]]]), axis=2, output="dets")


def detector(path: Path, score: float = 0.9) -> Path:
    """Return a graph like YOLOX: dets and labels, with a second box of another class."""
    graph = Graph([1, 3, "h", "w"])
    box = graph.node("Concat", graph.red_box(), graph.constant([[[score]]]), axis=2)
    graph.node("Concat", box, graph.constant([[[0, 0, 50, 50, 0.99]]]), axis=1, output="dets")
    graph.node("Identity", graph.constant([[0, 5]], np.int64), output="labels")
    return graph.save(path, ["dets", "labels"])


def simcc(path: Path, *, batch: Any = "n") -> Path:
    """Return a graph like RTMPose: the maximum of the joint's colour per axis, two bins per pixel."""
    graph = Graph([batch, 3, 256, 192])
    maps = graph.by_joint(graph.denormalised())
    for axis, name in ((2, "simcc_x"), (3, "simcc_y")):
        line = graph.node("ReduceMax", maps, axes=[axis], keepdims=1)
        scales = [1.0, 1.0, 1.0, 2.0] if axis == 2 else [1.0, 1.0, 2.0, 1.0]
        fine = graph.node(
            "Resize", line, "", graph.constant(scales), mode="cubic", coordinate_transformation_mode="asymmetric"
        )
        graph.node("Squeeze", fine, graph.constant([axis], np.int64), output=name)
    return graph.save(path, ["simcc_x", "simcc_y"])


def heatmaps(path: Path) -> Path:
    """Return a graph like ViTPose: the joint's colour at a quarter of the size, with common corner pixel centres."""
    graph = Graph(["n", 3, 256, 192])
    size = graph.node(
        "Concat",
        graph.node("Slice", graph.node("Shape", "input"), graph.constant([0], np.int64), graph.constant([1], np.int64)),
        graph.constant([JOINTS, 64, 48], np.int64),
        axis=0,
    )
    graph.node(
        "Resize",
        graph.by_joint(graph.denormalised()),
        "",
        "",
        size,
        mode="linear",
        coordinate_transformation_mode="align_corners",
        output="heat",
    )
    return graph.save(path, ["heat"])


def one_stage(path: Path, score: float = 0.9, visible: float = 0.75) -> Path:
    """Return a graph like RTMO: the red box, and each joint at the centroid of its colour above the grey padding."""
    graph = Graph([1, 3, 640, 640])
    graph.detections(score)
    light = graph.node("Relu", graph.node("Sub", graph.by_joint("input", bgr=True), graph.constant(150.0)))
    total = graph.node("ReduceSum", light, graph.constant([2, 3], np.int64), keepdims=0)
    parts = []
    for shape in ((1, 1, 1, 640), (1, 1, 640, 1)):
        ruler = graph.constant(np.arange(640).reshape(shape))
        frame = graph.node("ReduceSum", graph.node("Mul", light, ruler), graph.constant([2, 3], np.int64), keepdims=0)
        parts.append(graph.node("Unsqueeze", graph.node("Div", frame, total), graph.constant([2], np.int64)))
    sure = graph.constant(np.full((1, JOINTS, 1), visible))
    xy = graph.node("Concat", *parts, sure, axis=2)
    graph.node("Unsqueeze", xy, graph.constant([0], np.int64), output="k4")
    graph.node("Reshape", "k4", graph.constant([1, 1, JOINTS, 3], np.int64), output="keypoints")
    return graph.save(path, ["dets", "keypoints"])
