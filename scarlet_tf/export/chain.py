"""Export of a model to several formats at once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from scarlet_tf.export.ends import output_name
from scarlet_tf.export.from_name import Exportable
from scarlet_tf.export.onnx_export import export_onnx
from scarlet_tf.export.saved_model import export_saved_model
from scarlet_tf.export.tflite import export_tflite
from scarlet_tf.formats import FORMATS, ONNX, SAVED_MODEL, parse_format
from scarlet_tf.onnx_file import MissingPackageError, check_onnx
from scarlet_tf.paths import check_local
from scarlet_tf.progress import progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """Exported files, grouped as `verify` takes them.

    Attributes:
        saved_model: folders, for any batch size.
        onnx: files, for any batch size.
        tflite: files, in the order of the formats.
    """

    saved_model: tuple[Path, ...]
    onnx: tuple[Path, ...]
    tflite: tuple[Path, ...]


def possible_formats(model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the formats that a model can be exported to on this machine, and a sentence on each that is left out.

    Only ONNX can be left out: if its packages are not installed, or if the model has no ONNX form.
    """
    try:
        check_onnx()
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
    """Export a model to several formats: `folder`/saved_model, model.onnx and FORMAT.tflite.

    The .tflite files are rewritten for XNNPACK; the int8 formats are calibrated on `source.images`.

    Args:
        source: from `prepare`.
        folder: folder to write to.
        formats: names from `FORMATS`.

    Returns:
        The paths of the files.

    Raises:
        ValueError: for an unknown format, or for ONNX without its packages.
        FileExistsError: if the SavedModel already exists.

    Example:
        >>> export_chain(prepare("scarlet_a"), "exports", formats=["saved_model", "float32"]).tflite
        (PosixPath('exports/float32.tflite'),)
    """
    check_local(folder, why="the files in it are run from there: copy it afterwards")
    folder, formats = Path(folder), dict.fromkeys(parse_format("format", name) for name in formats)
    if ONNX in formats:
        check_onnx()
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
