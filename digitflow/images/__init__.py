"""Images: bytes to a grey image with its facts, a grey image to the 28×28 form of MNIST."""
