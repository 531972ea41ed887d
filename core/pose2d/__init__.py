"""2D pose estimation: model cards, downloads, ONNX inference and runners of model families."""
