"""Multi-view association of 2D detections and robust triangulation."""
