"""Multi-view geometry in numpy.

Conventions: world frame right-handed, millimetres, z up. Camera frame as in OpenCV: x right, y down, z forward, so
x_cam = R x_world + t and the camera centre is -R^T t. Pixel (0, 0) is the centre of the top-left pixel. Images are
never undistorted; distortion lives in the projection. `ideal` coordinates are x/z and y/z before distortion.
"""

from core.geometry.projection import distort, fold_radius, inside, project, project_rig, rays, to_camera, undistort
from core.geometry.triangulation import ideal_points, triangulate

__all__ = [
    "distort",
    "fold_radius",
    "ideal_points",
    "inside",
    "project",
    "project_rig",
    "rays",
    "to_camera",
    "triangulate",
    "undistort",
]
