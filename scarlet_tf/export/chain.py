"""Every file that a model can be shipped as, made one after the other."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from scarlet_tf.export.from_name import Exportable
from scarlet_tf.export.saved_model import export_saved_model
from scarlet_tf.export.tflite import export_tflite
from scarlet_tf.formats import FORMATS, SAVED_MODEL, require_format


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """Files for `verify`.

    Attributes:
        saved_model: folders that take any batch.
        tflite: in the order of the formats.
    """

    saved_model: tuple[Path, ...]
    tflite: tuple[Path, ...]


def export_chain(source: Exportable, folder: str | os.PathLike, *, formats: Iterable[str] = FORMATS) -> Chain:
    """Writes `folder`/saved_model and `folder`/KIND.tflite, rewritten for XNNPACK; int8 is calibrated on source.images.

    Raises:
        ValueError: for an unknown format; FileExistsError for a SavedModel that is there already.
    """
    folder, formats = Path(folder), dict.fromkeys(require_format("format", name) for name in formats)
    saved_model, tflite = [], []
    for wanted in tqdm(formats, "export", unit="file", leave=False, disable=None):
        if wanted == SAVED_MODEL:
            saved_model.append(export_saved_model(source.model, folder / SAVED_MODEL, record=source.record))
            continue
        path = folder / f"{wanted}.tflite"
        representative = [source.images] if wanted.startswith("int8") else None
        export_tflite(source.model, path, quantize=wanted, representative=representative, record=source.record)
        tflite.append(path)
    return Chain(saved_model=tuple(saved_model), tflite=tuple(tflite))
