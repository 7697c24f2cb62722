"""Every file that a model can be shipped as, made one after the other."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from scarlet_tf.export.ending import output_name
from scarlet_tf.export.from_name import Exportable
from scarlet_tf.export.onnx_export import export_onnx
from scarlet_tf.export.saved_model import export_saved_model
from scarlet_tf.export.tflite import export_tflite
from scarlet_tf.formats import FORMATS, ONNX, SAVED_MODEL, require_format
from scarlet_tf.onnx_file import MissingPackageError, require_onnx
from scarlet_tf.progress import progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """Files for `verify`.

    Attributes:
        saved_model: folders that take any batch.
        onnx: files that take any batch.
        tflite: in the order of the formats.
    """

    saved_model: tuple[Path, ...]
    onnx: tuple[Path, ...]
    tflite: tuple[Path, ...]


def possible_formats(model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the formats that a model can be exported to here, and a sentence on each that is left out.

    ONNX may be: where its packages are not installed, and for models that have no ONNX form.
    """
    try:
        require_onnx()
    except MissingPackageError as error:
        return _without_onnx(error)
    from scarlet_tf.export.onnx_graph import OnnxExportError, onnx_graph

    try:
        onnx_graph(model, output=output_name(model))
    except OnnxExportError as error:
        return _without_onnx(error)
    return FORMATS, ()


def _without_onnx(why: Exception) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(name for name in FORMATS if name != ONNX), (f"no ONNX file: {why}",)


def export_chain(source: Exportable, folder: str | os.PathLike, *, formats: Iterable[str] = FORMATS) -> Chain:
    """Write `folder`/saved_model, model.onnx and KIND.tflite, rewritten for XNNPACK and calibrated on source.images.

    Raises:
        ValueError: for an unknown format, or ONNX without its packages.
        FileExistsError: for a SavedModel that is there already.
    """
    folder, formats = Path(folder), dict.fromkeys(require_format("format", name) for name in formats)
    if ONNX in formats:
        require_onnx()
    saved_model, onnx, tflite = [], [], []
    for wanted in progress(formats, "export", unit="file"):
        if wanted == SAVED_MODEL:
            saved_model.append(export_saved_model(source.model, folder / SAVED_MODEL, record=source.record))
            continue
        if wanted == ONNX:
            onnx.append(folder / "model.onnx")
            export_onnx(source.model, onnx[-1], record=source.record)
            continue
        path = folder / f"{wanted}.tflite"
        representative = [source.images] if wanted.startswith("int8") else None
        export_tflite(
            source.model,
            path,
            quantize=wanted,
            representative=representative,
            input_range=source.input_range if representative else None,
            record=source.record,
        )
        tflite.append(path)
    return Chain(saved_model=tuple(saved_model), onnx=tuple(onnx), tflite=tuple(tflite))
