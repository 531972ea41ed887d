"""2D pose estimation: model cards, downloads, ONNX inference, runners of model families, importers."""
