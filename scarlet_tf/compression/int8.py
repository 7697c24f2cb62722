"""Ranges of an int8 file, and the comparison of quantisation-aware training with post-training quantisation."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.compression.convert import convert_quantized
from scarlet_tf.compression.qat import QuantizedModel
from scarlet_tf.compression.ranges import Ends, measure_ranges
from scarlet_tf.data import ImageData
from scarlet_tf.export import FormatCheck, export_tflite, verify
from scarlet_tf.export.tflite import rewrite

CALIBRATION_IMAGES = 500  # or all, if fewer: ranges are measured on the first 2/5, and chosen on the others
COMPARED_IMAGES = 500
QAT, POST_TRAINING, OF_SOURCE = "qat", "post_training", "post_training_of_source"
# How far ranges are narrowed, from all values seen (0) to the least squared error (1), see `measure_ranges`.
_NARROWED = (0.0, 0.25, 0.5, 0.75)
_BEFORE_TRAINING = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationImages:
    """Training images without augmentation, float32 (n, H, W, 3).

    Attributes:
        measured: for measuring ranges.
        compared: others, for choosing between ranges; the same if there is only one image.
    """

    measured: np.ndarray
    compared: np.ndarray

    @classmethod
    def draw(cls, data: ImageData) -> CalibrationImages:
        """Draw random training images and split them into the two groups."""
        images = np.concatenate(list(data.sample_batches(CALIBRATION_IMAGES, limit=CALIBRATION_IMAGES)))
        measured = max(1, 2 * len(images) // 5)
        return cls(measured=images[:measured], compared=images[measured:] if len(images) > 1 else images)


def set_measured_ranges(quantized: QuantizedModel, twin, images: CalibrationImages) -> None:
    """Set the ranges that training starts with.

    Args:
        twin: the float network with the same weights.
    """
    seen, fitted = measure_ranges(twin, quantized.layers, images.measured)
    quantized.set_ends(_between(seen, fitted, _BEFORE_TRAINING))


def set_best_ranges(quantized: QuantizedModel, twin, model, images: CalibrationImages) -> str:
    """Set the ranges whose int8 file gives the logits closest to the float network's, and return their name.

    The int8 files are run, because their integer arithmetic adds errors as large as the emulated rounding.

    Args:
        twin, model: the float network with the same weights, in tf_keras and in Keras.

    Returns:
        "trained" for the ranges of training, "min_max" for those of post-training quantisation, or "narrowed 0.5" and
        the like.
    """
    seen, fitted = measure_ranges(twin, quantized.layers, images.measured)
    ranges = {f"narrowed {share:g}" if share else "min_max": _between(seen, fitted, share) for share in _NARROWED}
    ranges["trained"] = quantized.ends()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.tflite" for number in range(len(ranges))]
        for file, ends in zip(files, ranges.values(), strict=True):
            quantized.set_ends(ends)
            _write(quantized, file)
        checks = verify(model, images.compared, tflite=files).formats
    best = min(zip(ranges, checks, strict=True), key=lambda pair: pair[1].rms_error)[0]
    quantized.set_ends(ranges[best])
    return best


def _between(seen: Ends, fitted: Ends, share: float) -> Ends:
    return {name: tuple(np.add(seen[name], share * np.subtract(fitted[name], seen[name]))) for name in seen}


def _write(quantized: QuantizedModel, file: Path) -> None:
    file.write_bytes(rewrite(convert_quantized(quantized.model)).content)


def compare_int8(
    quantized: QuantizedModel, models: Mapping[str, object], data: ImageData, images: CalibrationImages
) -> dict:
    """Run the int8 file of a quantised model, and post-training ones, on validation images, or else on test images.

    Args:
        models: the Keras models to quantise after training, POST_TRAINING (the quantised model's own float weights) and
            OF_SOURCE (the weights that its training started from).
        images: their `measured` images are the calibration set.

    Returns:
        JSON values: the number of "images" and their "split"; by file, "top1" and the errors of its logits relative to
        its own weights in float32, the root of the mean square and the largest; and "better", the file with the best
        top-1, or of those that differ from it by no more than chance, the one with the least error.
    """
    split = "validation" if data.num_examples.get("validation") else "test"
    held_out, labels = _spread(data, split)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.tflite" for name in (QAT, *models)}
        _write(quantized, files[QAT])
        for name, model in models.items():
            export_tflite(model, files[name], quantize="int8", representative=[images.measured])
        checks = {
            name: verify(models.get(name, models[POST_TRAINING]), held_out, labels=labels, tflite=(file,)).formats[0]
            for name, file in files.items()
        }
    found = {
        name: {"top1": check.accuracy, "rms_error": check.rms_error, "max_error": check.max_error}
        for name, check in checks.items()
    }
    return {"images": len(labels), "split": split, **found, "better": _better(checks, images=len(labels))}


def describe_int8(record: Mapping) -> str:
    """Describe the result of `compare_int8` in one line."""
    words = {QAT: "quantisation-aware training", POST_TRAINING: "post-training quantisation of the same weights"}
    words[OF_SOURCE] = "post-training quantisation of the initial weights"
    shown = "; ".join(
        f"{words[name]} {record[name]['top1']:.4f} (logit error {record[name]['rms_error']:.3g})" for name in words
    )
    split = record.get("split", "test")
    line = f"int8 files, top-1 on {record['images']} {split} images: {shown}"
    if record["better"] == QAT:
        return line
    remedy = {
        POST_TRAINING: "export with --representative_dataset to get it",
        OF_SOURCE: "train longer, or export the initial model",
    }
    line = f"{line}. The best is {words[record['better']]}: {remedy[record['better']]}"
    return f"{line}; its test accuracy will be too high, as it was chosen on test images" if split == "test" else line


def _better(checks: Mapping[str, FormatCheck], *, images: int) -> str:
    """Return the file with the least error of those with the best top-1, or one that differs by no more than chance."""
    best = max(checks.values(), key=lambda check: check.accuracy)

    def is_close(check: FormatCheck) -> bool:
        # Two files differ at most where either differs from its own float32 weights. Allow two standard errors of that.
        differing = (1 - best.top1_agreement) + (1 - check.top1_agreement)
        return best.accuracy - check.accuracy <= 2 * np.sqrt(differing / images)

    close = [name for name, check in checks.items() if is_close(check)]
    return min(close, key=lambda name: checks[name].rms_error)


def _spread(data: ImageData, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return at most COMPARED_IMAGES of a split, evenly spaced because folders are ordered by class."""
    every = -(-data.num_examples[split] // COMPARED_IMAGES)
    images, labels, seen = [], [], 0
    for some, theirs in data.eval_batches(split, 500).as_numpy_iterator():
        start = -seen % every
        images.append(some[start::every])
        labels.append(theirs[start::every])
        seen += len(theirs)
    return np.concatenate(images), np.concatenate(labels)
