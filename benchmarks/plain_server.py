"""The plainest server for a Keras network, for `serving.py` to compare digitflow's with.

    python benchmarks/plain_server.py BUNDLE PORT

As tutorials have it: FastAPI, Pillow's resizing to 28x28, one `model.predict` for each request.
"""

import io
import sys
from pathlib import Path

import keras
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

app = FastAPI()
network = keras.models.load_model(Path(sys.argv[1], "model.keras"))


@app.get("/livez")
def tell_alive() -> dict[str, str]:
    """Tell that the server runs."""
    return {"status": "alive"}


@app.post("/v1/predict")
def predict(file: UploadFile) -> dict[str, object]:
    """Read the digit of an image that is one already, bright on black."""
    image = Image.open(io.BytesIO(file.file.read())).convert("L").resize((28, 28))
    pixels = np.asarray(image, np.float32).reshape(1, 28, 28, 1) / 255
    probabilities = network.predict(pixels, verbose=0)[0]
    return {"text": str(probabilities.argmax()), "probabilities": probabilities.tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
