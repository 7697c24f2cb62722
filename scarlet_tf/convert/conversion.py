"""Conversion of a PyTorch checkpoint to a Keras file, and back; each output is read back and compared."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.convert.checkpoint_file import read_checkpoint, write_checkpoint
from scarlet_tf.convert.keras_file import check_weights_suffix, write_keras_weights
from scarlet_tf.convert.pytorch import StateDictError, from_state_dict, pairs, read_counters, to_state_dict
from scarlet_tf.paths import as_path, local_copy
from scarlet_tf.zoo.files import read_weights_record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversion:
    """Summary of a conversion.

    Attributes:
        tensors: number of arrays of the Keras model.
        params: number of values in them, without BN's moving statistics.
        sha256: of the checkpoint file.
        key: where in the file the weights are, such as "state_dict"; "" at the top level.
        others: keys of other state dicts in the file, such as "state_dict_ema".
    """

    tensors: int
    params: int
    sha256: str
    key: str = ""
    others: tuple[str, ...] = ()


def convert_checkpoint(
    spec: ArchSpec, checkpoint: str | os.PathLike, output: str | os.PathLike, *, key: str | None = None
) -> Conversion:
    """Convert a checkpoint of official weights to a Keras file, and read it back.

    Args:
        spec: the network that the checkpoint belongs to.
        checkpoint: a PyTorch or safetensors file.
        output: NAME.weights.h5 or NAME.keras.
        key: where the weights are in the checkpoint, see `read_checkpoint`.

    Raises:
        FileNotFoundError: if the checkpoint is missing.
        ValueError: if it cannot be read (CheckpointFileError), belongs to another network (StateDictError, which names
            the network of the zoo that it fits), or the output has another suffix.
    """
    check_weights_suffix(output)
    found = read_checkpoint(checkpoint, key=key)
    try:
        weights = from_state_dict(spec, found.state)
    except StateDictError as error:
        raise StateDictError(f"{checkpoint}: {error}{_hint(spec, found.state)}") from error
    source = {"file": Path(checkpoint).name, "sha256": found.sha256, "key": found.key}
    write_keras_weights(output, spec, weights, source=source | {"num_batches_tracked": read_counters(found.state)})
    return dataclasses.replace(_summary(weights, found.sha256), key=found.key, others=found.others)


def export_checkpoint(
    model: str | os.PathLike, output: str | os.PathLike, *, weights: str | os.PathLike | None = None
) -> Conversion:
    """Write a Keras model's weights as {"model_state": state dict} with the official keys, and read them back.

    BN's step counters are those of the checkpoint that the weights were converted from, if their file records them
    (`read_weights_record`), else 0.

    Args:
        model: a trained model's folder, a .keras file that `convert_checkpoint` wrote, or, with `weights`, anything
            that `scarlet_tf.zoo.resolve_spec` takes.
        output: the PyTorch file.
        weights: a .weights.h5 or .keras file, for a model without its own weights.

    Raises:
        ValueError: if the model has only its initial weights, no spec, or linearly equivalent transformations
            (StateDictError).
        OSError: if a file is missing or cannot be written.
    """
    check_trained(model, weights=weights)
    from scarlet_tf.models import get_weights  # loads TensorFlow
    from scarlet_tf.zoo import open_model

    loaded = open_model(model, weights=weights)
    arrays = get_weights(loaded.model)
    state = to_state_dict(loaded.spec or _recorded_spec(model), arrays, counters=_recorded_counters(weights or model))
    write_checkpoint(output, state)
    return _summary(arrays, hashlib.sha256(as_path(output).read_bytes()).hexdigest())


def check_trained(model: str | os.PathLike, *, weights: str | os.PathLike | None = None) -> None:
    """Check a model as `zoo.check_model` does, and raise ValueError if it has only its initial weights."""
    from scarlet_tf.zoo import check_model

    if not check_model(model, weights=weights):
        raise ValueError(f"{str(model)!r} has only initial weights: pass a weight file, .weights.h5 or .keras")


def _recorded_spec(path: str | os.PathLike) -> ArchSpec:
    record = read_weights_record(path)
    if record is None:
        raise ValueError(f"{path} does not record its network: pass the network, and this file as its weights")
    return ArchSpec.from_dict(record["spec"])


def _recorded_counters(path: str | os.PathLike) -> dict[str, int]:
    """Return BN's counters from a weight file's record; none for a trained model's folder, as training changed them."""
    record = None if local_copy(path).is_dir() else read_weights_record(path)
    return (record or {}).get("source", {}).get("num_batches_tracked", {})


def _hint(spec: ArchSpec, state: Mapping[str, np.ndarray]) -> str:
    """Name the network of the zoo that the tensors fit, if it is another one."""
    from scarlet_tf.zoo import get_spec, list_models

    found = {key: array.shape for key, array in state.items()}
    others = [name for name in list_models() if get_spec(name) != spec]
    fitting = [name for name in others if {pair.key: pair.shape for pair in pairs(get_spec(name))} == found]
    return f"; it fits {fitting[0]!r}" if fitting else ""


def _summary(weights: Mapping[str, np.ndarray], digest: str) -> Conversion:
    params = sum(array.size for name, array in weights.items() if "/moving_" not in name)
    return Conversion(tensors=len(weights), params=params, sha256=digest)
