"""Cauchy's robust loss, rho(s) = c^2 log(1 + s / c^2) of a squared residual s.

Triggs et al., Bundle Adjustment - A Modern Synthesis, 2000, section 3.3; the same form as Ceres' `CauchyLoss`.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64


def cauchy_loss(squared: F64, scale: float) -> F64:
    """Compute the loss of squared residuals of any shape; `scale` is c, in the units of the residuals."""
    return np.asarray(scale**2 * np.log1p(squared / scale**2))


def cauchy_weight(squared: F64, scale: float) -> F64:
    """Compute the IRLS weight, the derivative of the loss: 1 for small residuals, falling to 0."""
    return np.asarray(1 / (1 + squared / scale**2))
