"""Export of a Keras model to an .onnx file, checked by the onnx package."""

from __future__ import annotations

import json
import os

from scarlet_tf.export.ends import output_name
from scarlet_tf.export.policy import in_float32
from scarlet_tf.files import write_atomically
from scarlet_tf.onnx_file import DEFAULT_OPSET, RECORD, OnnxFileError, check_onnx_options, node_counts
from scarlet_tf.paths import check_local


def export_onnx(
    model,
    path: str | os.PathLike,
    *,
    opset: int = DEFAULT_OPSET,
    layout: str = "nhwc",
    batch_size: int | None = None,
    record: dict | None = None,
) -> dict[str, int]:
    """Write a Keras model as an ONNX file, atomically, and return its node counts by operator.

    The file computes in float32, whatever dtype policy the model has; see `in_float32`.

    The input is `image`, float32 (batch, height, width, channels), as in every other format of this project. The
    output is named `probabilities`, `logits` or `features`.

    Args:
        model: a `keras.Model`.
        path: file to write.
        opset: version of the operator set, at least 14.
        layout: "nhwc", or "nchw" for an image (batch, channels, height, width), as in PyTorch's exports.
        batch_size: a fixed batch size; None for any.
        record: metadata to store in the file, see `read_onnx_record`; opset and layout are added.

    Raises:
        ValueError: for invalid options; OnnxExportError for a layer without an ONNX form.
        OnnxFileError: if the onnx package's checker rejects the result.

    Example:
        >>> source = prepare("scarlet_a")
        >>> nodes = export_onnx(source.model, "a.onnx", record=source.record)
    """
    check_onnx_options(opset=opset, layout=layout, batch_size=batch_size)
    from onnx import checker, helper, shape_inference

    from scarlet_tf.export.onnx_graph import onnx_graph

    model = in_float32(model)
    graph = onnx_graph(model, output=output_name(model), layout=layout, batch_size=batch_size)
    opsets = [helper.make_opsetid("", opset)]
    file = helper.make_model(
        graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name=RECORD
    )
    record = {**(record or {}), "format": "onnx", "opset": opset, "layout": layout}
    helper.set_model_props(file, {RECORD: json.dumps(record, sort_keys=True)})
    try:
        checker.check_model(file, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        raise OnnxFileError(f"{path}: {error}") from error
    check_local(path, why="the file is run from there: copy it afterwards")
    write_atomically(path, file.SerializeToString(deterministic=True))
    return node_counts(graph)
