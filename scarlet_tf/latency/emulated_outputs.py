"""Outputs of .tflite files on an emulated processor, compared with this machine's on the same images."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.choices import check_known
from scarlet_tf.files import write_atomically
from scarlet_tf.latency.emulator import CPUS, EmulatorError, check_emulator, emulate, read_versions
from scarlet_tf.progress import progress
from scarlet_tf.tflite.runtime import dequantized, invoke, open_interpreter, quantized

_SCRIPT = Path(__file__).with_name("emulated_run.py")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputComparison:
    """Outputs of one file on an emulated processor against this machine's.

    Attributes:
        cpu: a name in `CPUS`.
        top1_agreement: share of the images with the same top-1 class.
        max_error: largest absolute difference of an output, dequantized.
        exact: share of the images whose outputs are the same to the bit.
        accuracy, emulated_accuracy: top-1 here and on the emulated processor; None without labels.
    """

    path: str
    cpu: str
    images: int
    top1_agreement: float
    max_error: float
    exact: float
    accuracy: float | None
    emulated_accuracy: float | None


def compare_outputs(
    path: str | os.PathLike, images: np.ndarray, *, cpu: str = "cortex-a76", labels: np.ndarray | None = None
) -> OutputComparison:
    """Run a .tflite file on images here and on an emulated processor, and compare the outputs.

    Args:
        path: a file with one input, of batch size 1 or open, and one output of (1, classes).
        images: float32 (n, H, W, C), preprocessed as the file expects; quantized here if its input is an integer.
        cpu: a name in `CPUS`.
        labels: (n,) integers, indices of outputs, to measure accuracy.

    Raises:
        ValueError: if there are no images, not one label for each, or images of another shape; for an unknown
            processor; TFLiteFileError for a file that cannot be run here.
        EmulatorError: if the emulator is not set up, or the file cannot be run there.
        FileNotFoundError: for a missing file.

    Example:
        >>> found = compare_outputs("int8.tflite", images, labels=labels)  # doctest: +SKIP
        >>> print(f"{found.accuracy:.4f} here, {found.emulated_accuracy:.4f} emulated")  # doctest: +SKIP
    """
    check_known("cpu", cpu, CPUS)
    if len(images) == 0 or (labels is not None and len(labels) != len(images)):
        raise ValueError(
            f"expected at least one image, and one label for each, got {len(images)} and {np.shape(labels)}"
        )
    interpreter = open_interpreter(path)
    sources, results = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) != 1 or len(results) != 1 or sources[0]["shape"].tolist() != [1, *images.shape[1:]]:
        shapes = [source["shape"].tolist() for source in sources]
        raise ValueError(f"{path} takes {shapes}: expected one image of {list(images.shape[1:])} and one output")
    (source,), (result,) = sources, results
    if np.dtype(source["dtype"]).kind != "f" and not source["quantization"][0]:
        raise ValueError(f"{path} has integer input without a scale: expected float or quantized input")
    check_emulator()
    values = quantized(images, source)
    here = []
    for value in progress(values, "here", unit="image"):
        interpreter.set_tensor(source["index"], value[np.newaxis])
        invoke(interpreter, label=path)
        here.append(interpreter.get_tensor(result["index"])[0].copy())
    here, there = np.stack(here), run_emulated(path, values, cpu=cpu)
    return _compared(os.fspath(path), cpu, dequantized(here, result), there=dequantized(there, result), labels=labels)


def run_emulated(path: str | os.PathLike, inputs: np.ndarray, *, cpu: str = "cortex-a76") -> np.ndarray:
    """Run a .tflite file on an emulated processor, once for every input.

    Args:
        path: a file with one input, of batch size 1 or open, and one output.
        inputs: (n, ...) in the type and shape of the file's input, without the batch.
        cpu: a name in `CPUS`.

    Returns:
        (n, ...) in the type and shape of the file's output, without the batch.

    Raises:
        EmulatorError: if the file cannot be run there.
    """
    with tempfile.TemporaryDirectory() as folder, progress(None, cpu, unit="image", total=len(inputs)) as bar:
        given, made = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(given, inputs)
        job = {"file": os.path.abspath(path), "inputs": os.fspath(given), "outputs": os.fspath(made)}
        try:
            for message in emulate(_SCRIPT, job, cpu=cpu):
                bar.update(message["done"] - bar.n)
        except EmulatorError as error:
            raise EmulatorError(f"{path}: cannot be run on an emulated {cpu}: {error}") from error
        return np.load(made)


def _compared(
    path: str, cpu: str, here: np.ndarray, *, there: np.ndarray, labels: np.ndarray | None
) -> OutputComparison:
    accuracies = (None, None) if labels is None else [float((out.argmax(-1) == labels).mean()) for out in (here, there)]
    return OutputComparison(
        path=path,
        cpu=cpu,
        images=len(here),
        top1_agreement=float((here.argmax(-1) == there.argmax(-1)).mean()),
        max_error=float(np.abs(here - there).max()),
        exact=float((here == there).reshape(len(here), -1).all(-1).mean()),
        accuracy=accuracies[0],
        emulated_accuracy=accuracies[1],
    )


def save_comparisons(
    comparisons: Sequence[OutputComparison],
    path: str | os.PathLike,
    *,
    dataset: str,
    failures: Mapping[str, str] | None = None,
) -> None:
    """Write comparisons as a JSON object, atomically: the emulator's versions, the dataset, and one entry per file.

    Args:
        comparisons: of `compare_outputs`.
        path: of the JSON file.
        dataset: name of the images' dataset.
        failures: by path, as `find_failures` returns them, for the key "failures".
    """
    content = {
        "versions": read_versions(),
        "dataset": dataset,
        "comparisons": [dataclasses.asdict(comparison) for comparison in comparisons],
        "failures": dict(failures or {}),
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n")
