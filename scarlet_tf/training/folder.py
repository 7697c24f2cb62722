"""The folder of a trained model: spec.json, model.keras and training.json."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.committed import is_committed, write_committed
from scarlet_tf.data import ImageData
from scarlet_tf.differences import name_differences
from scarlet_tf.files import naming, remove_folder, write_atomically
from scarlet_tf.paths import as_path
from scarlet_tf.runs.checkpoints import check_markers
from scarlet_tf.runs.interrupt import describe_saved, saying_what_is_saved
from scarlet_tf.training.config import TrainConfig, TrainConfigError, suggest_batch_size
from scarlet_tf.training.pictures import draw_confusion, draw_curves, write_figure
from scarlet_tf.zoo.files import add_weights_record
from scarlet_tf.zoo.preprocessing import Preprocessing

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

FORMAT, FORMAT_VERSION = "scarlet_tf.training", 1
_LAST = "training.json"


def describe_data(data: ImageData) -> dict:
    """Return the record of the images for training.json, without their location on this machine."""
    used = {"mean": list(data.mean), "std": list(data.std), "crop_share": data.crop_share}
    return data.config.to_dict() | used | {"fingerprint": data.fingerprint}


def name_of_folder(output: str | os.PathLike) -> str:
    """Return a network name derived from the name of the run directory, with characters that `check_name` allows."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", as_path(output).resolve().name).strip("_.-")
    return name or "trained"


def weights_digest(weights: Mapping[str, np.ndarray] | None) -> str | None:
    """Return a hex digest of named arrays, or None for None."""
    if weights is None:
        return None
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def by_class(data: ImageData, values: np.ndarray | None) -> dict[str, float] | None:
    """Return values, one per class, by class name."""
    return None if values is None else dict(zip(data.class_names, map(float, values), strict=True))


def check_fit(
    spec: ArchSpec, data: ImageData, config: TrainConfig, *, replicas: int = 1, inherited: bool = False
) -> None:
    """Raise TrainConfigError if network, images and settings do not fit together.

    Args:
        inherited: whether training starts from trained weights.
    """
    if spec.classes != data.num_classes:
        raise TrainConfigError(
            f"spec {spec.name!r} has {spec.classes} classes, but {data.config.name!r} has {data.num_classes}"
        )
    if config.augment != data.config.augment:
        raise TrainConfigError(
            f"augment must be the same in both configs, got {config.augment!r} for training and "
            f"{data.config.augment!r} for data"
        )
    if config.batch_size > data.num_examples["train"]:
        images = data.num_examples["train"]
        better = suggest_batch_size(images, config.batch_size) or images
        raise TrainConfigError(
            f"batch_size must be at most the {images} training images, got {config.batch_size}: {better} gives "
            f"{images // better} step{'s' * (images // better > 1)} per epoch"
        )
    if config.zero_gamma and inherited:
        raise TrainConfigError("zero_gamma changes initial weights: leave it out to start from trained ones")
    config.check_validation(validated="validation" in data.num_examples)
    if config.batch_size % replicas:
        raise TrainConfigError(f"batch_size must be a multiple of the {replicas} replicas, got {config.batch_size}")
    if config.batch_size % (replicas * config.accumulate):
        share = f"{config.batch_size} images" + (f" on {replicas} replicas" if replicas > 1 else "")
        raise TrainConfigError(
            f"accumulate must divide a replica's batch into equal parts, got {config.accumulate} for {share}"
        )


def finished_result(output: Path | RemotePath, mark: str, *, settings: Mapping[str, object]) -> dict | None:
    """Return the content of `output`/training.json if a run with this fingerprint finished there, else None.

    Args:
        output: the run directory.
        mark: fingerprint of the run.
        settings: of the run, JSON-able, so that the error can say how another run differs.

    Raises:
        TrainConfigError: if training.json is damaged, or belongs to another run.
        CheckpointError: if `output` is a remote folder that was copied there without markers.
    """
    check_markers(output)
    path = output / _LAST
    if not is_committed(path):
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        same = result["fingerprint"] == mark
    except (ValueError, KeyError, TypeError) as error:
        raise TrainConfigError(f"{path} is damaged: {error}; delete it to train again") from error
    if not same:
        raise TrainConfigError(
            f"{output} has the result of a run with other settings ({_difference(output, result, settings)}): "
            "choose another run directory"
        )
    return result


def _difference(output: Path | RemotePath, result: dict, settings: Mapping[str, object]) -> str:
    """Describe how the run that finished in `output` differs from `settings`."""
    # Ignore the name, which the trained network need not share.
    spec = dataclasses.replace(ArchSpec.load(output / "spec.json"), name=settings["spec"]["name"])
    ended = {"spec": spec.to_dict(), "data": result.get("data")}
    if compression := result.get("compression"):
        own = {name: compression.get(name) for name in ("method", "sparsity", "clusters")}
        ended["compression"] = own | {"training": result.get("config")}
    else:
        ended |= {"config": result.get("config")}
    if "frozen_optimizer" in settings:
        ended["frozen_optimizer"] = result.get("frozen_optimizer")
    recorded = {name: value for name, value in settings.items() if name not in ("weights", "replicas")}
    return name_differences(ended, recorded) or "the initial weights"


def _to_json(result: dict) -> str:
    """Return JSON with one entry per line, but lists of numbers, such as rows of a confusion matrix, on one line."""
    text = json.dumps(result, indent=1) + "\n"
    return re.sub(r"\[\n\s+[-+.\de]+(,\n\s+[-+.\de]+)*\n\s+\]", lambda row: f"[{' '.join(row[0][1:-1].split())}]", text)


def write_folder(
    output: Path | RemotePath,
    spec: ArchSpec,
    *,
    model,
    result: dict,
    more: Mapping[str, Callable[[Path], object]] | None = None,
) -> None:
    """Write the files of a trained model, then delete its checkpoints.

    The files are written under temporary names, and training.json is renamed last: if it exists, so do the others. To a
    remote folder they are uploaded, training.json last and with a marker, see `committed`. They include plots of the
    run, from `output`/log.jsonl, and of the confusion matrix in result["test"].

    Args:
        more: further files: for each name, a function that writes the file at a path.
    """
    record = {
        "spec": spec.to_dict(),
        "source": {"run": result["fingerprint"]},
        "preprocessing": Preprocessing.from_settings(
            **{name: result["data"][name] for name in ("mean", "std", "crop_share")}
        ).to_dict(),
    }

    def save_model(path: Path) -> None:
        model.save(path)
        add_weights_record(path, record)

    confusion = {"confusion": result["test"]["confusion"], "class_names": result["class_names"]}
    writers = {
        "spec.json": spec.save,
        "model.keras": save_model,
        "curves.png": lambda path: write_figure(path, draw_curves(output / "log.jsonl")),
        "confusion.png": lambda path: write_figure(path, draw_confusion(**confusion)),
        **(more or {}),
    }
    writers[_LAST] = lambda path: path.write_text(_to_json(result))
    checkpoints = output / "checkpoints"
    saved = describe_saved(checkpoints, "step", result["steps"], total=result["steps"])
    local = isinstance(output, Path)
    aside = tempfile.TemporaryDirectory(dir=output if local else None, prefix=".result-")
    with saying_what_is_saved(lambda: saved), aside as temporary:
        for name, write in writers.items():
            with naming(output / name):
                write(Path(temporary) / name)
        for name in writers:
            if local:
                os.replace(Path(temporary) / name, output / name)
            else:
                upload = write_committed if name == _LAST else write_atomically
                upload(output / name, (Path(temporary) / name).read_bytes())
        remove_folder(checkpoints)
