"""Checkpoints: weights as safetensors, everything else as JSON. Loading executes no code from the files.

A checkpoint is a folder that is replaced atomically: weights.safetensors, meta.json, and during training
optimizer.safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.config import from_mapping, to_mapping
from core.disk import replacing_folder
from core.errors import CoreError
from core.files import read_json, resource, write_json
from core.models.config import ModelConfig
from core.models.networks import Networks
from core.types.volume import CaptureVolume

CHECKPOINT_SCHEMA = 1
SHIPPED = "shipped"
WEIGHTS, META, OPTIMIZER = "weights.safetensors", "meta.json", "optimizer.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Contents of a checkpoint folder.

    Attributes:
        weights: Parameters and buffers of the networks by name.
        config: Settings of the networks.
        volume: Capture volume of the root network.
        meta: Plain values, such as stage, step and metrics.
        optimizer: Tensors of the optimiser; empty in a finished model.
    """

    weights: Mapping[str, Tensor]
    config: ModelConfig
    volume: CaptureVolume
    meta: Mapping[str, Any]
    optimizer: Mapping[str, Tensor]

    def build(self, device: torch.device) -> Networks:
        """Build the networks with these weights, in evaluation mode.

        Raises:
            CoreError: The weights do not fit the settings.
        """
        networks = Networks(self.config)
        try:
            networks.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise CoreError(
                f"The checkpoint's weights do not fit its settings: {error}.", "The folder is damaged: train again."
            ) from error
        networks.to(device).eval()
        return networks

    def save(self, folder: Path) -> None:
        """Replace `folder` by this checkpoint; at any time either the old or the new one can be loaded."""
        with replacing_folder(folder, _old(folder)) as fresh:
            save_file({k: v.detach().cpu().contiguous() for k, v in self.weights.items()}, fresh / WEIGHTS)
            if self.optimizer:
                save_file({k: v.detach().cpu().contiguous() for k, v in self.optimizer.items()}, fresh / OPTIMIZER)
            write_json(
                fresh / META,
                {
                    "schema": CHECKPOINT_SCHEMA,
                    "skeleton": self.config.skeleton,
                    "model": to_mapping(self.config),
                    "volume": self.volume.to_mapping(),
                    "meta": dict(self.meta),
                },
            )

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read a checkpoint, or the previous one if `save` was interrupted between its two renames.

        Raises:
            CoreError: The checkpoint is missing, damaged or of a newer version.
        """
        folder = folder if folder.is_dir() else _old(folder)
        if not (folder / META).is_file():
            raise CoreError(f"There is no checkpoint in {folder.parent}.", "Train the networks first.")
        document = read_json(folder / META)
        try:
            if int(document["schema"]) > CHECKPOINT_SCHEMA:
                raise CoreError(f"{folder} was written by a newer version.", "Update the program.")
            joints = document["skeleton"]
            config = from_mapping(ModelConfig, {"skeleton": joints, **document["model"]}, "model.")
            if config.skeleton != joints:
                raise CoreError(
                    f"{folder} was trained for the joints '{joints}', and its settings name '{config.skeleton}'.",
                    "Train again.",
                )
            optimizer = folder / OPTIMIZER
            return cls(
                weights=load_file(folder / WEIGHTS),
                config=config,
                volume=CaptureVolume.from_mapping(document["volume"]),
                meta=dict(document["meta"]),
                optimizer=load_file(optimizer) if optimizer.is_file() else {},
            )
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise CoreError(f"The checkpoint {folder} is damaged: {error}.", "Train again.") from error
        except Exception as error:
            if isinstance(error, CoreError):
                raise
            raise CoreError(f"The weights in {folder} cannot be read: {error}.", "Train again.") from error

    @staticmethod
    def exists(folder: Path) -> bool:
        """Return whether `load` would find a checkpoint."""
        return (folder / META).is_file() or (_old(folder) / META).is_file()


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def load_initial_weights(networks: Networks, start: str, preset: str = "") -> list[str]:
    """Copy the weights of other networks part by part; parts with another architecture are left unchanged.

    Args:
        networks: Networks to initialise.
        start: "shipped", or the folder of a checkpoint.
        preset: Name of the preset whose shipped networks are used.

    Returns:
        Names of the copied parts: "root", "pose", "ray_refiner", "temporal", "backbone".

    Raises:
        CoreError: The checkpoint does not exist, it predicts other joints, or no part of it fits.
    """
    folder = resource("weights", f"networks_{preset}") if start == SHIPPED else Path(start)
    saved = Checkpoint.load(folder)
    if saved.config.skeleton != networks.skeleton.name:
        raise CoreError(
            f"The networks in {folder.name} were trained for the joints '{saved.config.skeleton}', and these settings "
            f"ask for '{networks.skeleton.name}'.",
            f"Set model.skeleton={saved.config.skeleton}, or use an empty start to train from noise.",
        )
    taken = []
    for name, part in networks.named_children():
        theirs = {k.removeprefix(f"{name}."): v for k, v in saved.weights.items() if k.startswith(f"{name}.")}
        own = part.state_dict()
        if theirs.keys() == own.keys() and all(theirs[k].shape == own[k].shape for k in own):
            part.load_state_dict(theirs)
            taken.append(name)
    if not taken:
        raise CoreError(
            f"No part of the networks in {folder.name} fits these settings.",
            "Use the settings that they were trained with, or an empty start to train from noise.",
        )
    return taken
