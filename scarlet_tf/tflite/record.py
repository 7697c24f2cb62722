"""What a .tflite file says about itself: a JSON object among its metadata, under the project's own name.

`scarlet_tf.tflite.metadata` says part of it the standard way too.
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
    """The file with a record, in place of one that it may have had."""
    graph = Graph(content)
    graph.set_metadata(NAME, json.dumps(record, sort_keys=True).encode())
    return graph.to_bytes()


def ends_of(content: bytes) -> dict:
    """Return what a record says of a file's input and output, of a content that `probe` or a converter vouches for.

    Returns:
        "input_type" and "output_type", such as "int8", and "input_quantization" and "output_quantization", which are
        {"scale", "zero_point"}, a real value being (integer - zero_point) * scale, or None where values are real.
    """
    graph = Graph(content)
    ends = {}
    for label, (index,) in (("input", graph.subgraph.inputs), ("output", graph.subgraph.outputs)):
        scale, zero_point, _ = graph.quantization(index)
        integer = None if scale is None else {"scale": float(scale[0]), "zero_point": int(zero_point[0])}
        ends |= {f"{label}_type": graph.type_name(index), f"{label}_quantization": integer}
    return ends


def describe_ends(ends: Mapping) -> str:
    """Return one line on what `ends_of` found."""
    texts = []
    for label in ("input", "output"):
        text, integer = f"{label} {ends[f'{label}_type']}", ends[f"{label}_quantization"]
        if integer:
            text += f", scale {integer['scale']:.9g}, zero point {integer['zero_point']}"
        texts.append(text)
    return "; ".join(texts)


def read_record(file: bytes | str | os.PathLike) -> dict | None:
    """Return the file's record, its "quantize" by today's name; None where it has none.

    Args:
        file: its path, or its content, which must then have passed `probe` or an interpreter.

    Raises:
        FileNotFoundError: for a missing file.
        TFLiteFileError: for a damaged one, or a record that is no JSON object.
    """
    if not isinstance(file, bytes):
        open_interpreter(file)  # verifies it
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
        raise TFLiteFileError(f"its record is not a JSON object but {type(record).__name__}")
    if isinstance(record.get("quantize"), str):
        record["quantize"] = current_name(record["quantize"])
    return record
