"""Check that a .tflite file can be rewritten: that it runs, and is a single plain graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.first_look import FirstRun as Probe
from scarlet_tf.tflite.first_look import first_run
from scarlet_tf.tflite.runtime import TFLiteFileError


def probe(content: bytes, *, label: str, inputs: Sequence[np.ndarray] | None = None) -> Probe:
    """Open and run a file once, as `first_run` does, and reject one that cannot be rewritten or cut.

    Args:
        content: of the file.
        label: name of the file in messages, such as its path.
        inputs: as for `first_run`.

    Raises:
        TFLiteFileError: as `first_run`; and for a file that is not one subgraph of built-in operators whose outputs
            are real numbers.
    """
    run = first_run(content, label=label, inputs=inputs)
    problem = _other_than_real_outputs(run) or _other_than_one_plain_graph(content)
    if problem:
        raise TFLiteFileError(f"{label}: the model cannot be rewritten or cut: {' '.join(problem.split())}")
    return run


def _other_than_real_outputs(run: Probe) -> str | None:
    if run.other_outputs or any(output.dtype.kind == "c" for output in run.outputs):
        kinds = {*run.other_outputs, *(str(output.dtype) for output in run.outputs if output.dtype.kind == "c")}
        return f"expected outputs of real numbers, got {', '.join(sorted(kinds))}"
    if not run.outputs or not all(output.size for output in run.outputs):
        return "it has no output, or an empty one"
    return None


def _other_than_one_plain_graph(content: bytes) -> str | None:
    model = schema.Model.GetRootAs(content)
    if model.SubgraphsLength() != 1:
        return f"expected one subgraph, got {model.SubgraphsLength()}"
    codes = [model.OperatorCodes(i).CustomCode() for i in range(model.OperatorCodesLength())]
    custom = sorted({code.decode(errors="replace") for code in codes if code})
    if custom:
        return f"expected built-in operators, got {', '.join(custom)}"
    return _unchecked(schema.ModelT.InitFromPackedBuf(content))


def _unchecked(model: schema.ModelT) -> str | None:
    """Return what is wrong with values that the interpreter ignores but a rewritten file must preserve, or None."""
    buffers, tensors = len(model.buffers or []), len(model.subgraphs[0].tensors or [])
    if not buffers or (model.buffers[0].data is not None and len(model.buffers[0].data)):
        return "buffer 0 must exist and be empty"
    external = model.externalBuffers or any(tensor.externalBuffer for tensor in model.subgraphs[0].tensors or [])
    if external or any(buffer.offset > 1 for buffer in model.buffers):
        return "its constants are outside the flatbuffer"
    stray = [entry.buffer for entry in model.metadata or [] if entry.buffer >= buffers]
    if stray:
        return f"its metadata points to buffer {stray[0]} of {buffers}"
    for signature in model.signatureDefs or []:
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            if entry.tensorIndex >= tensors:
                return f"a signature points to tensor {entry.tensorIndex} of {tensors}"
    return None
