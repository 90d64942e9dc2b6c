"""What leaves evogan: a GAN as code, a generator as ONNX, a card beside it."""
