"""Record of a .tflite file: a JSON object in its metadata, under the project's name.

`scarlet_tf.tflite.metadata` also writes part of it as standard TFLite metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from scarlet_tf.formats import current_name
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.runtime import TFLiteFileError, open_interpreter

NAME = "scarlet_tf"


def add_record(content: bytes, record: dict) -> bytes:
    """Return the file with a record, replacing any that it had."""
    graph = Graph(content)
    graph.set_metadata(NAME, json.dumps(record, sort_keys=True).encode())
    return graph.to_bytes()


def ends_of(content: bytes) -> dict:
    """Return the types and quantization of a file's input and output, as a record stores them.

    Args:
        content: of a file that `probe` has accepted or a converter has written.

    Returns:
        "input_type" and "output_type", such as "int8", and "input_quantization" and "output_quantization": each
        {"scale", "zero_point"}, where a real value is (integer - zero_point) * scale, or None if values are real.
    """
    graph = Graph(content)
    ends = {}
    for label, (index,) in (("input", graph.subgraph.inputs), ("output", graph.subgraph.outputs)):
        scale, zero_point, _ = graph.quantization(index)
        integer = None if scale is None else {"scale": float(scale[0]), "zero_point": int(zero_point[0])}
        ends |= {f"{label}_type": graph.type_name(index), f"{label}_quantization": integer}
    return ends


def describe_ends(ends: Mapping) -> str:
    """Return one line of text that describes the result of `ends_of`."""
    texts = []
    for label in ("input", "output"):
        text, integer = f"{label} {ends[f'{label}_type']}", ends[f"{label}_quantization"]
        if integer:
            text += f", scale {integer['scale']:.9g}, zero point {integer['zero_point']}"
        texts.append(text)
    return "; ".join(texts)


def read_record(file: bytes | str | os.PathLike) -> dict | None:
    """Return a file's record, with the current name of its "quantize" format; None if it has none.

    Args:
        file: its path; or its content, which must have passed `probe` or an interpreter.

    Raises:
        FileNotFoundError: for a missing file.
        TFLiteFileError: for a damaged file, or a record that is not a JSON object.

    Example:
        >>> record = read_record("a.tflite")
        >>> print(record["quantize"], record["input"])
    """
    if not isinstance(file, bytes):
        open_interpreter(file)  # validates it
        try:
            return read_record(Path(file).read_bytes())
        except TFLiteFileError as error:
            raise TFLiteFileError(f"{file}: {error}") from error
    content = Graph(file).metadata(NAME)
    return None if content is None else _parsed(content)


def _parsed(content: bytes) -> dict:
    try:
        record = json.loads(content)
    except ValueError as error:
        raise TFLiteFileError(f"its record is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise TFLiteFileError(f"its record must be a JSON object, got {type(record).__name__}")
    if isinstance(record.get("quantize"), str):
        record["quantize"] = current_name(record["quantize"])
    return record
