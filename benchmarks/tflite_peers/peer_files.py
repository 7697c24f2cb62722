"""SCARLET's networks and their keras.applications peers as .tflite files, plain and rewritten, kept for later runs.

The networks have random weights, end in a softmax, and take the normalised image: preprocessing inside the peers, a few
percent of a run, is cut off. Accuracy is not measured, so no trained weights are needed.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.network_files import hash_of_sources, made_by, rewritten
from scarlet_tf.choices import check_known
from scarlet_tf.cli import load_tensorflow
from scarlet_tf.files import write_atomically
from scarlet_tf.formats import QUANTIZATIONS, parse_format
from scarlet_tf.progress import progress

SCARLET = {"SCARLET-A": "scarlet_a", "SCARLET-B": "scarlet_b", "SCARLET-C": "scarlet_c"}
PEERS = ("EfficientNetB0", "MobileNetV2", "MobileNetV3Large")
NAMES = (*SCARLET, *PEERS)
_SIDE = 224
FORMATS = QUANTIZATIONS[:-1]  # int8_pure is for accelerators, not for XNNPACK
IMAGES = 20  # calibration images for int8
_NORM_IMAGES = 8
_HERE = Path(__file__).parent


def choose_networks(names: Sequence[str]) -> dict[str, Callable]:
    """Return, by name, functions that build keras.Models: float32 (B, 224, 224, 3) -> (B, 1000) probabilities.

    Raises:
        ValueError: for an unknown name.
    """
    for name in names:
        check_known("network", name, NAMES)
    return {name: _scarlet(SCARLET[name]) if name in SCARLET else _peer(name) for name in names}


def _scarlet(model: str) -> Callable:
    def build():
        from scarlet_tf.zoo import create_model

        return create_model(model, input_shape=(_SIDE, _SIDE, 3))

    return build


def _peer(name: str) -> Callable:
    def build():
        import keras

        options = {"include_preprocessing": False} if name == "MobileNetV3Large" else {}
        model = getattr(keras.applications, name)(weights=None, input_shape=(_SIDE, _SIDE, 3), **options)
        if name == "EfficientNetB0":  # which lacks this option
            model = keras.Model(model.get_layer("stem_conv_pad").input, model.output)
        return model

    return build


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """A network's file, rewritten by scarlet_tf.tflite.optimize, or as TensorFlow's converter left it."""

    network: str
    format: str
    rewritten: bool
    path: Path


def make_files(
    networks: Mapping[str, Callable], formats: Sequence[str], folder: Path, *, seed: int
) -> list[NetworkFile]:
    """Return two files for every network and format; convert those that the folder lacks.

    A file's name holds a hash of what it depends on: package versions, seed, and this project's sources.

    Args:
        networks: functions that build keras.Models with a fixed input size.
        formats: names out of `FORMATS`.
        seed: random seed of the weights and of the standard normal images that settle batch normalisation and calibrate
            int8. That is enough for timing, but accuracy is meaningless.
    """
    if not networks or not formats:
        raise ValueError("expected at least one network and one format")
    formats = [parse_format("format", form, FORMATS) for form in formats]
    folder.mkdir(parents=True, exist_ok=True)
    key = made_by(seed, hash_of_sources(("peer_files.py",), _HERE))
    files = []
    for network, build in networks.items():
        plain = {form: folder / f"{network}_{form}_{key}.tflite" for form in formats}
        missing = {form: path for form, path in plain.items() if not path.exists()}
        if missing:
            _convert(build, missing, label=network, seed=seed)
        for form, path in plain.items():
            files.append(NetworkFile(network=network, format=form, rewritten=False, path=path))
            files.append(NetworkFile(network=network, format=form, rewritten=True, path=rewritten(path)))
    return files


def _convert(build: Callable, paths: Mapping[str, Path], *, label: str, seed: int) -> None:
    from scarlet_tf.export import convert, export_saved_model

    model, images = settled_model(build, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        saved_model = export_saved_model(model, Path(folder) / "saved_model", batch_size=1)
        for form, path in progress(paths.items(), f"convert {label}", unit="file"):
            representative = [images] if form == "int8" else None
            converted = convert(saved_model, quantize=form, representative=representative, optimize_for="none")
            write_atomically(path, converted.content)


def settled_model(build: Callable, *, seed: int) -> tuple[object, np.ndarray]:
    """Return a network with random weights and settled batch normalisation, and its calibration images."""
    load_tensorflow()
    import keras

    from scarlet_tf.models import measure_batch_norms

    keras.utils.set_random_seed(seed)
    model = build()
    images = np.random.default_rng(seed).standard_normal((IMAGES, *model.input_shape[1:]), np.float32)
    measure_batch_norms(model, [images[:_NORM_IMAGES]])
    return model, images
