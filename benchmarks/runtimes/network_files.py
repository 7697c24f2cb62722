"""The networks of benchmarks.tflite_peers in the forms that other runtimes read: .tflite, .onnx, calibration images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.network_files import hash_of_sources
from benchmarks.tflite_peers.peer_files import make_files, settled_model
from scarlet_tf.choices import check_known
from scarlet_tf.files import replaced_whole, write_atomically
from scarlet_tf.tflite import optimize

FORMATS = ("float32", "int8")
_ONNX_BY = ("export/onnx_*.py", "export/policy.py", "onnx_file.py")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkFiles:
    """Paths of a network's files, all with the same weights.

    Attributes:
        tflite: by format, and by what the file is optimized for: "none", "xnnpack" or "host".
        onnx: float32, (1, 3, H, W) -> (1, classes).
        images: .npy file with the calibration images of the int8 .tflite file, float32 (N, H, W, 3).
    """

    network: str
    tflite: dict[str, dict[str, str]]
    onnx: str
    images: str


def make_networks(
    networks: Mapping[str, Callable], formats: Sequence[str], folder: Path, *, seed: int
) -> list[NetworkFiles]:
    """Return the files of every network; convert those that the folder lacks.

    Files that are optimized for "host" are made anew, by the costs that the user's cache now holds.

    Args:
        networks: functions that build keras.Models with a fixed input size.
        formats: names out of `FORMATS`.
        seed: random seed of weights and images.
    """
    for form in formats:
        check_known("format", form, FORMATS)
    wanted = dict.fromkeys(("float32", *formats))  # all outputs are compared with those of the float32 file
    files = make_files(networks, [*wanted], folder, seed=seed)
    made = []
    for network, build in networks.items():
        tflite = {form: {} for form in wanted}
        for file in files:
            if file.network == network:
                tflite[file.format]["xnnpack" if file.rewritten else "none"] = str(file.path)
        for own in tflite.values():
            own["host"] = _optimized_for_host(own["none"])
        plain = Path(tflite["float32"]["none"])
        onnx = plain.with_name(f"{plain.stem}_{hash_of_sources(_ONNX_BY)}.onnx")
        images = plain.with_suffix(".npy")
        if not (onnx.exists() and images.exists()):
            _export(build, onnx, images, seed=seed)
        made.append(NetworkFiles(network=network, tflite=tflite, onnx=str(onnx), images=str(images)))
    return made


def _optimized_for_host(plain: str) -> str:
    path = f"{plain.removesuffix('.tflite')}_host.tflite"
    write_atomically(path, optimize(Path(plain).read_bytes(), label=plain, optimize_for="host").content)
    return path


def _export(build: Callable, onnx: Path, images: Path, *, seed: int) -> None:
    from scarlet_tf.export import export_onnx

    model, calibration = settled_model(build, seed=seed)
    export_onnx(model, onnx, layout="nchw", batch_size=1)
    with replaced_whole(images) as path:
        np.save(path, calibration)
