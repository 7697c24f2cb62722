"""What a .tflite file says about itself: a JSON object among its metadata, under the project's own name.

The flatbuffer of TFLite's metadata library is not written: that library is no longer kept.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.formats import current_name
from scarlet_tf.latency.runtime import TFLiteFileError, open_interpreter
from scarlet_tf.tflite.graph import Graph

NAME = "scarlet_tf"


def add_record(content: bytes, record: dict) -> bytes:
    """The file with a record, in place of one that it may have had."""
    graph = Graph(content)
    entries = [entry for entry in graph.model.metadata or [] if entry.name != NAME.encode()]
    data = np.frombuffer(json.dumps(record, sort_keys=True).encode(), np.uint8)
    graph.model.buffers.append(schema.BufferT(data=data))
    entries.append(schema.MetadataT(name=NAME, buffer=len(graph.model.buffers) - 1))
    graph.model.metadata = entries
    graph.prune()
    return graph.to_bytes()


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
    graph = Graph(file)
    for entry in graph.model.metadata or []:
        if entry.name == NAME.encode():
            return _parsed(graph.model.buffers[entry.buffer].data)
    return None


def _parsed(data: np.ndarray | None) -> dict:
    try:
        record = json.loads(bytes(data if data is not None else b""))
    except ValueError as error:
        raise TFLiteFileError(f"its record is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise TFLiteFileError(f"its record is not a JSON object but {type(record).__name__}")
    if isinstance(record.get("quantize"), str):
        record["quantize"] = current_name(record["quantize"])
    return record
