"""Multi-view geometry in numpy.

Conventions: world coordinates are right-handed, in millimetres, z up. Camera coordinates are OpenCV's: x right, y down,
z forward, so that x_cam = R x_world + t and the camera centre is -R^T t. Pixel (0, 0) is the centre of the top-left
pixel. Images are never undistorted; distortion is part of the projection. Ideal image-plane coordinates are x/z and y/z
before distortion.
"""

from core.geometry.epipolar import epipolar_line_px, essential_matrix, sampson_distance_px
from core.geometry.projection import distort, fold_radius, inside, project, project_rig, to_camera, undistort
from core.geometry.rays import intersect_rays, pixel_rays
from core.geometry.triangulation import ideal_points, triangulate, triangulate_views

__all__ = [
    "distort",
    "epipolar_line_px",
    "essential_matrix",
    "fold_radius",
    "ideal_points",
    "inside",
    "intersect_rays",
    "pixel_rays",
    "project",
    "project_rig",
    "sampson_distance_px",
    "to_camera",
    "triangulate",
    "triangulate_views",
    "undistort",
]
