"""What a .tflite file says about itself: a JSON object among its metadata, under the project's own name.

The flatbuffer of TFLite's metadata library is not written: that library is no longer kept.
"""

from __future__ import annotations

import json

import numpy as np
from ai_edge_litert import schema_py_generated as schema

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


def read_record(content: bytes) -> dict | None:
    """The file's record; None where it has none. The content must have passed `probe` or an interpreter."""
    graph = Graph(content)
    for entry in graph.model.metadata or []:
        if entry.name == NAME.encode():
            return json.loads(bytes(graph.model.buffers[entry.buffer].data))
    return None
