"""Keras model -> .onnx file, checked by the onnx package."""

from __future__ import annotations

import json
import os

from scarlet_tf.export.ending import output_name
from scarlet_tf.export.policy import in_float32
from scarlet_tf.files import write_atomically
from scarlet_tf.onnx_file import DEFAULT_OPSET, RECORD, OnnxFileError, check_onnx_options, node_counts


def export_onnx(
    model,
    path: str | os.PathLike,
    *,
    opset: int = DEFAULT_OPSET,
    layout: str = "nhwc",
    batch_size: int | None = None,
    record: dict | None = None,
) -> dict[str, int]:
    """Write a Keras model as an ONNX file, whole or not at all, and return its node counts by operator.

    Whatever dtype policy the model has, the file computes in float32, see `in_float32`.

    Its input is `image`, float32 (batch, height, width, channels) as in every other format of this project; its output
    is named `probabilities`, `logits` or `features`.

    Args:
        opset: version of the operator set, from 14 on.
        layout: "nhwc", or "nchw" for an image (batch, channels, height, width), as PyTorch's exports take it.
        batch_size: a fixed batch; None: any.
        record: what the file says about itself, see `read_onnx_record`; opset and layout are added.

    Raises:
        ValueError: for options that cannot be met; OnnxExportError for a layer without an ONNX form.
        OnnxFileError: where the checker of the onnx package refuses the result.
    """
    check_onnx_options(opset=opset, layout=layout, batch_size=batch_size)
    from onnx import checker, helper

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
    except (checker.ValidationError, ValueError) as error:
        raise OnnxFileError(f"{path}: {error}") from error
    write_atomically(path, file.SerializeToString(deterministic=True))
    return node_counts(graph)
