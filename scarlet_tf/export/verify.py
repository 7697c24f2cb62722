"""Verification that exported files compute what the Keras model computes."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import scipy.special

from scarlet_tf.export.ends import LOGITS, PROBABILITIES, output_name
from scarlet_tf.export.policy import in_float32
from scarlet_tf.export.saved_model import read_saved_record
from scarlet_tf.export.served import ServedModel
from scarlet_tf.formats import NONE, ONNX, PLAIN, SAVED_MODEL, TARGETS, XNNPACK
from scarlet_tf.onnx_file import OnnxModel
from scarlet_tf.progress import progress
from scarlet_tf.tflite import invoke, open_interpreter, operation_counts, partition_count, read_record
from scarlet_tf.tflite.runtime import dequantized, quantized
from scarlet_tf.zoo import Preprocessing

_ANY_BATCH = 250  # batch size for models that take any


class ExportError(ValueError):
    """Error raised for a model that cannot be converted, or a file of another model or with custom operations."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormatCheck:
    """Comparison of one file with the Keras model.

    Attributes:
        format: "saved_model", "onnx", or a .tflite file's format from its record, with ", plain" if it is not
            rewritten; None if it is not recorded.
        bytes: size of the file, or of all files in the folder.
        operations: number of operations in a .tflite or .onnx file, by name; empty for other kinds.
        partitions: partitions of a .tflite file that the XNNPACK delegate runs, ideally one; None for other kinds.
        max_error: largest absolute difference from Keras's outputs.
        relative_error: max_error / largest absolute output of Keras.
        rms_error: root mean square of the differences.
        top1_agreement: share of images with the same top class as Keras.
        accuracy: share of images whose top class is the label; None without labels.
        note: a sentence on the images that the file was given, if they differ from the model's or may do so.
    """

    path: str
    bytes: int
    operations: dict[str, int]
    partitions: int | None
    max_error: float
    relative_error: float
    rms_error: float
    top1_agreement: float
    accuracy: float | None
    format: str | None = None
    note: str | None = None

    @property
    def ops(self) -> int:
        return sum(self.operations.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Comparison of all files with the Keras model on the same images."""

    model: str
    images: int
    keras_accuracy: float | None
    formats: tuple[FormatCheck, ...]

    def without(self, folder: str | os.PathLike) -> VerifyReport:
        """Return the report with the paths of files in `folder` relative to it."""
        inside = [(check, Path(check.path)) for check in self.formats]
        return dataclasses.replace(
            self,
            formats=tuple(
                dataclasses.replace(check, path=os.fspath(path.relative_to(folder)))
                if path.is_relative_to(folder)
                else check
                for check, path in inside
            ),
        )

    def to_json(self) -> str:
        data = dataclasses.asdict(self)
        for row, check in zip(data["formats"], self.formats, strict=True):
            row["ops"] = check.ops
        return json.dumps(data, indent=1) + "\n"

    def table(self) -> str:
        """Return the report as a plain-text table, one line per file."""
        columns = (
            f"{'format':16} {'bytes':>12} {'ops':>5} {'parts':>5} {'max error':>10} {'relative':>10} {'same top-1':>10}"
        )
        lines = [f"{'file':32} {columns} accuracy"]
        accuracy = "-" if self.keras_accuracy is None else f"{self.keras_accuracy:.4f}"
        lines.append(f"{'keras: ' + self.model:32} {f'on {self.images} images':>{len(columns)}} {accuracy}")
        for check in self.formats:
            accuracy = "-" if check.accuracy is None else f"{check.accuracy:.4f}"
            ops = str(check.ops) if check.operations else "-"
            partitions = "-" if check.partitions is None else str(check.partitions)
            lines.append(
                f"{Path(check.path).name:32} {check.format or '-':16} {check.bytes:12,} {ops:>5} {partitions:>5} "
                f"{check.max_error:10.2e} {check.relative_error:10.2e} {check.top1_agreement:10.4f} {accuracy}"
            )
        return "\n".join(lines)


def verify(
    model: keras.Model,
    images: np.ndarray,
    *,
    saved_model: Sequence[str | os.PathLike] = (),
    tflite: Sequence[str | os.PathLike] = (),
    onnx: Sequence[str | os.PathLike] = (),
    others: Mapping[str | os.PathLike, Callable[[np.ndarray], np.ndarray]] | None = None,
    labels: np.ndarray | None = None,
    preprocessing: Preprocessing | None = None,
    batch_size: int | None = None,
    threads: int = 1,
) -> VerifyReport:
    """Run a Keras model and exported files on the same images, and compare the outputs.

    If a file's record says that it ends in a softmax that the model lacks, it is compared with the softmax of the
    model's logits.

    Args:
        model: the reference, computed in float32, as it is exported.
        images: float32 (n, H, W, C), preprocessed for the model. A file whose record asks for others, such as pixels,
            gets those. Integer inputs are quantized and integer outputs dequantized, with the tensor's scale and zero
            point.
        saved_model: SavedModel folders.
        tflite, onnx: paths of files.
        others: further files, each with a function that runs it and maps images to outputs like Keras's.
        labels: (n,) integers, to measure accuracy.
        preprocessing: of the images; None if unknown: every file then gets them unchanged.
        batch_size: of SavedModels with a fixed one; None if they take any.
        threads: for .tflite and .onnx files.

    Returns:
        One `FormatCheck` per file.

    Raises:
        ExportError: if a .tflite file contains an operation outside the built-in set, or a file's input or output
            shape differs from the model's.
        OnnxFileError: for a file that ONNX Runtime cannot run.
        ValueError: if there are no images, or not one label for each; TFLiteFileError for a damaged file.
        FileNotFoundError: for a missing file.

    Example:
        >>> source = prepare("scarlet_a")
        >>> _ = export_tflite(source.model, "a.tflite", record=source.record)
        >>> print(verify(source.original, source.images, tflite=["a.tflite"]).table())
    """
    model = in_float32(model)
    if len(images) == 0 or (labels is not None and len(labels) != len(images)):
        raise ValueError(
            f"expected at least one image, and one label for each, got {len(images)} and {np.shape(labels)}"
        )
    if batch_size and len(images) % batch_size:
        raise ValueError(f"the number of images must be a multiple of the batch size {batch_size}, got {len(images)}")
    expected = _run(lambda batch: np.asarray(model(batch, training=False)), images, "keras", batch_size=_ANY_BATCH)
    asked = functools.partial(_as_file_ends, expected, ending=output_name(model))
    checks = []
    for path in saved_model:
        served = ServedModel(path)
        takes, gives = served.input_shape[1:], served.output_shape[1:]
        _check_same_ends(path, [takes], [gives], model=model, images=images, expected=expected)
        size = sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
        function = functools.partial(_outputs_of, served)
        own, note = _images_for(path, read_saved_record(path), images, preprocessing)
        outputs = _run(function, own, "SavedModel", batch_size=batch_size or _ANY_BATCH)
        ends = asked({"output": served.output_name})
        checks.append(_compare(path, size, outputs, expected=ends, labels=labels, format=SAVED_MODEL, note=note))
    for path in tflite:
        operations = builtin_operations(path)
        interpreter = open_interpreter(path, threads=threads)
        ends = (interpreter.get_input_details(), interpreter.get_output_details())
        takes, gives = ([tuple(detail["shape"][1:].tolist()) for detail in details] for details in ends)
        _check_same_ends(path, takes, gives, model=model, images=images, expected=expected)
        record = read_record(path)
        own, note = _images_for(path, record, images, preprocessing)
        (source,) = interpreter.get_input_details()
        _check_scale(path, source)
        function = _tflite_function(interpreter, path)
        outputs = _run(function, own, Path(path).name, batch_size=int(source["shape"][0]))
        size = Path(path).stat().st_size
        made = {"operations": operations, "partitions": partition_count(interpreter)}
        made |= {"format": _recorded_format(record), "note": note}
        checks.append(_compare(path, size, outputs, expected=asked(record), labels=labels, **made))
    for path in onnx:
        file = OnnxModel(path, threads=threads)
        _check_same_ends(path, [file.takes], [file.gives], model=model, images=images, expected=expected)
        if file.batch_size and len(images) % file.batch_size:
            raise ExportError(f"{path} needs a multiple of its batch size {file.batch_size}, got {len(images)} images")
        own, note = _images_for(path, file.record, images, preprocessing)
        outputs = _run(file, own, Path(path).name, batch_size=file.batch_size or _ANY_BATCH)
        size = Path(path).stat().st_size
        made = {"operations": file.operations(), "format": ONNX, "note": note}
        checks.append(_compare(path, size, outputs, expected=asked(file.record), labels=labels, **made))
    for path, function in (others or {}).items():
        outputs = _run(function, images, Path(path).name, batch_size=_ANY_BATCH)
        checks.append(_compare(path, Path(path).stat().st_size, outputs, expected=expected, labels=labels))
    return VerifyReport(
        model=model.name, images=len(images), keras_accuracy=_accuracy(expected, labels), formats=tuple(checks)
    )


def builtin_operations(path: str | os.PathLike) -> dict[str, int]:
    """Return a .tflite file's operation counts; raise ExportError if one is outside the built-in set."""
    operations = operation_counts(path)
    custom = [name for name in operations if name.startswith("custom:")]
    if custom:
        raise ExportError(f"{path}: expected only built-in operations, found {', '.join(custom)}")
    return operations


def _run(function: Callable, images: np.ndarray, label: str, *, batch_size: int = 1) -> np.ndarray:
    """Run a function of (batch, H, W, C) on images in batches; the last may be smaller. Return (n, classes)."""
    starts = progress(range(0, len(images), batch_size), label, unit="batch")
    return np.concatenate([function(images[start : start + batch_size]) for start in starts])


def _as_file_ends(expected: np.ndarray, record: dict | None, *, ending: str) -> np.ndarray:
    """Return the model's outputs in the form that a file with this record outputs them."""
    if ending != LOGITS or (record or {}).get("output") != PROBABILITIES:
        return expected
    return scipy.special.softmax(expected, axis=-1)


def _outputs_of(served: ServedModel, images: np.ndarray) -> np.ndarray:
    return served(images).numpy()


def _check_same_ends(path, takes: list[tuple], gives: list[tuple], *, model, images, expected) -> None:
    """Raise ExportError unless a file's input and output shapes, without the batch, are the model's."""
    wanted = ([images.shape[1:]], [expected.shape[1:]])
    if (takes, gives) != wanted:
        found, asked = (
            f"input {' and '.join(map(_shown, ins))} and output {' and '.join(map(_shown, outs))}"
            for ins, outs in ((takes, gives), wanted)
        )
        raise ExportError(f"{path} is a file of another model: it has {found}, but {model.name!r} has {asked}")


def _shown(shape: tuple) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape) or "a number"


def _check_scale(path, source: Mapping) -> None:
    if source["dtype"] != np.float32 and not source["quantization"][0]:
        raise ExportError(
            f"{path} has {np.dtype(source['dtype'])} input without a scale: expected float32 or quantized input"
        )


def _tflite_function(interpreter, path) -> Callable[[np.ndarray], np.ndarray]:
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def function(images: np.ndarray) -> np.ndarray:
        missing = source["shape"][0] - len(images)  # if the last batch is smaller than the file's
        batch = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        interpreter.set_tensor(source["index"], quantized(batch, source))
        invoke(interpreter, label=path)
        return dequantized(interpreter.get_tensor(result["index"]), result)[: len(images)]

    return function


def _recorded_format(record: Mapping | None) -> str | None:
    record = record or {}
    name, target = record.get("quantize"), record.get("optimize_for")
    if name is None or target == XNNPACK:
        return name
    return f"{name}, {target if target in TARGETS and target != NONE else PLAIN}"


def _images_for(path, record, images: np.ndarray, preprocessing: Preprocessing | None) -> tuple[np.ndarray, str | None]:
    """Return the images as the file's record asks for them, and a note on them."""
    if preprocessing is None:
        return images, None
    if (record or {}).get("input") is None:
        return images, f"{path} does not record how its images are normalised: the model's preprocessing was used"
    try:
        wanted = Preprocessing.from_dict(record["input"])
    except ValueError as error:
        raise ExportError(f"{path}: its record is damaged: {error}") from error
    if (wanted.mean, wanted.std) == (preprocessing.mean, preprocessing.std):
        return images, None
    kind = "pixels" if wanted == wanted.of_pixels() else "its own normalisation"
    return preprocessing.convert(images, to=wanted), f"{path} was checked with {kind}, as in its record"


def _compare(
    path, size, outputs, *, expected, labels, operations=None, partitions=None, format=None, note=None
) -> FormatCheck:
    differences = np.abs(outputs - expected)
    error = float(differences.max())
    return FormatCheck(
        path=os.fspath(path),
        bytes=size,
        operations=operations or {},
        partitions=partitions,
        max_error=error,
        relative_error=error / float(np.abs(expected).max()),
        rms_error=float(np.sqrt(np.square(differences, dtype=np.float64).mean())),
        top1_agreement=float((outputs.argmax(-1) == expected.argmax(-1)).mean()),
        accuracy=_accuracy(outputs, labels),
        format=format,
        note=note,
    )


def _accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    return None if labels is None else float((outputs.argmax(-1) == labels).mean())
