"""Choice of the distortion model of a camera by cross-validation."""

from __future__ import annotations

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.state import BoardImages, nominal_noise_px
from core.calibration.board.initial.initialization import frame_period_s
from core.calibration.board.initial.intrinsics import IntrinsicsFit, fit_intrinsics, reprojection_px
from core.types.camera import DistortionModel

_BLOCKS = 8  # of images in temporal order; even blocks are predicted by fits to odd ones, and vice versa
_BETTER = 0.9  # ratio of errors below which the other model is preferred; both have as many coefficients
_LARGEST_NOISE = 30.0  # limit of residuals in units of the nominal noise


def fit_either_lens(
    seen: BoardObservations, name: str, usual: DistortionModel = "pinhole"
) -> tuple[IntrinsicsFit | None, str]:
    """Fit the usual distortion model to a camera's images, or the other one if it predicts held-out images better.

    Args:
        seen: Observations.
        name: Camera.
        usual: Model to keep unless the other one is clearly better.

    Returns:
        The fit, None if neither model can be fitted; and a note if the other model is preferred.
    """
    kept = fit_intrinsics(seen, [name], usual).get(name)
    other, tried, errors = _better(seen, name, usual, kept)
    if tried is None:
        return kept, ""
    if kept is None:
        return tried, f"Only the {other} model fits the lens of {name}."
    return tried, f"{name} uses the {other} model: it {errors}."


def lens_warning(seen: BoardObservations, name: str, kept: IntrinsicsFit) -> str:
    """Return a sentence if the other distortion model predicts held-out images clearly better; empty if not.

    Args:
        seen: Observations.
        name: Camera.
        kept: Fit of the model chosen by the user.
    """
    model = kept.camera.distortion_model
    other, tried, errors = _better(seen, name, model, kept)
    return "" if tried is None else f"The lens of {name} is not {model}: the {other} model {errors}."


def _better(
    seen: BoardObservations, name: str, usual: DistortionModel, kept: IntrinsicsFit | None
) -> tuple[DistortionModel, IntrinsicsFit | None, str]:
    """Return the other model, its fit if clearly better (else None), and the errors as a predicate for messages."""
    other: DistortionModel = "fisheye" if usual == "pinhole" else "pinhole"
    tried = fit_intrinsics(seen, [name], other).get(name)
    if tried is None or kept is None:
        return other, tried, ""
    if tried.rmse_px > _BETTER * kept.rmse_px:
        return other, None, ""
    errors = [_held_out_px(seen, name, model) for model in (usual, other)]
    if not errors[1] < _BETTER * errors[0]:
        return other, None, ""
    return other, tried, f"predicts held-out images to {errors[1]:.2f} px, the {usual} model to {errors[0]:.2f} px"


def _held_out_px(seen: BoardObservations, name: str, model: DistortionModel) -> float:
    """Return the root mean square error of images predicted by fits to others; infinite without fit."""
    v = seen.cameras.index(name)
    own = seen.where(seen.view == v)
    frames = np.unique(own.frame)
    if len(frames) < _BLOCKS:
        return np.inf
    block = np.searchsorted(np.linspace(0, len(frames), _BLOCKS + 1)[1:], np.searchsorted(frames, own.frame), "right")
    limit = _LARGEST_NOISE * nominal_noise_px(seen.sizes_px[v : v + 1])
    squared = []
    for side in (0, 1):
        fit = fit_intrinsics(own.where(block % 2 == side), [name], model).get(name)
        if fit is None:
            return np.inf
        images = BoardImages.of(own.where(block % 2 != side))
        residual_px = reprojection_px(images, fit.camera, frame_period_s(seen))
        squared.append(np.minimum((residual_px**2).sum(-1), limit**2))
    return float(np.sqrt(np.concatenate(squared).mean()))
