"""What MediaPipe Tasks makes of .tflite files: run by `test_mediapipe.py` in an environment that has MediaPipe.

python mediapipe_process.py photographs FOLDER SIDE   # foolbox's photographs -> images.npy, uint8 (n, SIDE, SIDE, 3)
python mediapipe_process.py classify FOLDER           # images.npy, *.tflite -> answers.json
"""

import json
import sys
from pathlib import Path

import numpy as np


def photographs(folder: Path, side: int) -> None:
    from importlib import metadata

    from PIL import Image

    files = [file for file in metadata.files("foolbox") if file.suffix == ".jpg"]
    images = [Image.open(file.locate()).convert("RGB").resize((side, side)) for file in sorted(files)]
    np.save(folder / "images.npy", np.stack([np.asarray(image) for image in images]))


def classify(folder: Path) -> None:
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

    images = [Image(image_format=ImageFormat.SRGB, data=pixels) for pixels in np.load(folder / "images.npy")]
    answers = {}
    for file in sorted(folder.glob("*.tflite")):
        options = ImageClassifierOptions(base_options=BaseOptions(model_asset_buffer=file.read_bytes()))
        try:
            with ImageClassifier.create_from_options(options) as classifier:
                found = [classifier.classify(image).classifications[0].categories for image in images]
        except (ValueError, RuntimeError) as error:
            answers[file.name] = str(error)
            continue
        answers[file.name] = [[(c.index, c.category_name, c.score) for c in categories] for categories in found]
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    job, folder, *rest = sys.argv[1:]
    {"photographs": photographs, "classify": classify}[job](Path(folder), *map(int, rest))
