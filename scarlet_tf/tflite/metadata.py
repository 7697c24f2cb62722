"""Standard TFLite metadata, which stock clients such as MediaPipe Tasks read.

A flatbuffer in one of the file's buffers describes the tensors; labels.txt is an associated file. The schema is small,
so it is written out here: tflite-support, the library that contained it, is no longer maintained, and MediaPipe, which
contains it today, is far too large a dependency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np

from scarlet_tf import __version__
from scarlet_tf.tflite.associated import add_files
from scarlet_tf.tflite.graph import Graph, Type

NAME = "TFLITE_METADATA"
LABELS = "labels.txt"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # of the schema; nothing newer is used

# The fields of each table in the schema's order; a union takes two, for its type and its value.
_FIELDS = {
    "ModelMetadata": (
        *("name", "description", "version", "subgraph_metadata"),
        *("author", "license", "associated_files", "min_parser_version"),
    ),
    "SubGraphMetadata": ("name", "description", "input_tensor_metadata", "output_tensor_metadata"),
    "TensorMetadata": (
        *("name", "description", "dimension_names", "content"),
        *("process_units", "stats", "associated_files"),
    ),
    "Content": ("content_properties_type", "content_properties"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space", "default_size"),
    "ImageSize": ("width", "height"),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "Stats": ("max", "min"),
    "AssociatedFile": ("name", "description", "type"),
}
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = np.uint8(1), np.uint8(2)  # of the union ContentProperties
_NORMALIZATION_OPTIONS = np.uint8(1)  # of ProcessUnitOptions
_TENSOR_AXIS_LABELS = np.int8(2)  # of AssociatedFileType
_COLOR_SPACES = {3: np.int8(1), 1: np.int8(2)}  # by channels: RGB, GRAYSCALE


def add_metadata(content: bytes, record: dict) -> bytes:
    """Return an image classifier's file with standard metadata and labels, replacing any that it had.

    Args:
        content: of a .tflite file with one input, an image (1, height, width, channels), and one output.
        record: as for `add_record`. "model", "output", "input" (mean and std of pixels over 255) and "class_names" are
            used, if present.

    Raises:
        ValueError: if there is not one class name for each output.
    """
    graph = Graph(content)
    labels = record.get("class_names")
    _, _, _, channels = graph.shape(graph.subgraph.inputs[0])
    classes = graph.shape(graph.subgraph.outputs[0])[-1]
    if labels is not None and len(labels) != classes:
        raise ValueError(f"expected {classes} class names, one for each output, got {len(labels)}")
    described = _Table(
        "ModelMetadata",
        name=record.get("model", "model"),
        description=f"Image classification, {classes} classes" if labels else "Network for images",
        version=f"scarlet_tf {__version__}",
        subgraph_metadata=[
            _Table(
                "SubGraphMetadata",
                input_tensor_metadata=[_image(graph, record.get("input"), channels=channels)],
                output_tensor_metadata=[_result(record.get("output", "output"), labels)],
            )
        ],
        min_parser_version=_PARSER,
    )
    graph.set_metadata(NAME, described.to_bytes())
    content = graph.to_bytes()
    return content if labels is None else add_files(content, {LABELS: label_file(labels)})


def client_obstacle(pixels: Mapping | None, *, input_type: str) -> str | None:
    """Return why MediaPipe Tasks cannot feed images to a file; None if it can.

    Args:
        pixels: "mean" and "std" per channel, of pixels over 255; None if unknown.
        input_type: dtype of the file's input.
    """
    if input_type == "int8":
        return "MediaPipe Tasks accepts float32 or uint8 images, not int8"
    if pixels is None:
        return "MediaPipe Tasks needs the normalisation, which is unknown"
    mean, std = np.asarray(pixels["mean"]), np.asarray(pixels["std"])
    if not mean.any() and np.all(std == 1 / 255):
        return None
    if input_type != "float32":
        return f"MediaPipe Tasks does not normalise {input_type} images"
    if np.ptp(mean) or np.ptp(std):
        return "MediaPipe Tasks normalises all channels alike, but this model does not"
    return None


def label_file(labels: Sequence[str]) -> bytes:
    """Return labels in UTF-8, one per line; line breaks inside a label are escaped, such as \\n."""
    return "".join(f"{_one_line(label)}\n" for label in labels).encode(errors="backslashreplace")


def _one_line(label: str) -> str:
    parts = label.splitlines(keepends=True)
    return "".join(part if part.splitlines() == [part] else _escaped(part) for part in parts)


def _escaped(part: str) -> str:
    """Return a line with its line break, one or two characters, escaped."""
    text = part.splitlines()[0]
    return text + part[len(text) :].encode("unicode_escape").decode()


def _image(graph: Graph, pixels: dict | None, *, channels: int) -> _Table:
    (index,) = graph.subgraph.inputs
    _, height, width, _ = graph.shape(index)
    size = _Table("ImageSize", width=np.uint32(width), height=np.uint32(height))
    properties = {"default_size": size}
    if channels in _COLOR_SPACES:
        properties["color_space"] = _COLOR_SPACES[channels]
    fields = {
        "name": "image",
        "description": f"Image of {height} x {width} pixels (height x width), {channels} channels",
        "content": _content(_IMAGE_PROPERTIES, _Table("ImageProperties", **properties)),
    }
    if pixels is not None and len(pixels["mean"]) == channels:
        mean, std = (255.0 * np.asarray(pixels[part]) for part in ("mean", "std"))  # for pixels from 0 to 255
        options = _Table("NormalizationOptions", mean=np.float32(mean), std=np.float32(std))
        fields["process_units"] = [_Table("ProcessUnit", options_type=_NORMALIZATION_OPTIONS, options=options)]
        least, most = ((end - mean) / std for end in (0.0, 255.0))
        if not graph.is_type(index, Type.FLOAT32):
            least, most = np.zeros(1), np.full(1, 255.0)
        fields["stats"] = _Table("Stats", max=np.float32(most), min=np.float32(least))
    return _Table("TensorMetadata", **fields)


def _result(kind: str, labels: Sequence[str] | None) -> _Table:
    fields = {"name": kind, "content": _content(_FEATURE_PROPERTIES, _Table("FeatureProperties"))}
    if kind == "probabilities":
        fields["stats"] = _Table("Stats", max=np.float32([1.0]), min=np.float32([0.0]))
    if labels is not None:
        file = _Table("AssociatedFile", name=LABELS, description="Name of each class", type=_TENSOR_AXIS_LABELS)
        fields["associated_files"] = [file]
    return _Table("TensorMetadata", **fields)


def _content(kind: np.uint8, properties: _Table) -> _Table:
    return _Table("Content", content_properties_type=kind, content_properties=properties)


class _Table:
    """A table of the schema with the given fields: text, tables, lists of tables, numbers, float vectors."""

    def __init__(self, kind: str, **fields) -> None:
        self.kind = kind
        self.fields = {_FIELDS[kind].index(name): value for name, value in fields.items()}

    def to_bytes(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._write(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _write(self, builder: flatbuffers.Builder) -> int:
        offsets = {slot: _offset(builder, v) for slot, v in self.fields.items() if not isinstance(v, np.integer)}
        builder.StartObject(len(_FIELDS[self.kind]))
        for slot, value in self.fields.items():
            if slot in offsets:
                builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
            else:
                prepend = {"int8": builder.PrependInt8Slot, "uint8": builder.PrependUint8Slot}
                prepend.get(value.dtype.name, builder.PrependUint32Slot)(slot, int(value), 0)
        return builder.EndObject()


def _offset(builder: flatbuffers.Builder, value) -> int:
    """Write text, a table, or a vector of floats or tables, and return its offset."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, _Table):
        return value._write(builder)
    offsets = [table._write(builder) for table in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
