"""Running a .tflite file that nobody vouches for, in a process of its own.

LiteRT checks a file's structure when it opens it, but a file can pass and still crash the interpreter or ask for
all memory there is. So another process takes the first look, and its death is an ordinary error here.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.latency.runtime import TFLiteFileError, explain_refusal

_PROGRAM = Path(__file__).with_name("probe_process.py")
_PATIENCE = 300  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """What the interpreter made of a file.

    Attributes:
        operations: count of each operation, most frequent first.
        partitions: pieces that the XNNPACK delegate runs; what lies between them runs op by op.
        inputs: arrays that it was run on.
        outputs: arrays that it gave for them.
    """

    operations: dict[str, int]
    partitions: int
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]

    @property
    def ops(self) -> int:
        return sum(self.operations.values())


def probe(content: bytes, *, label: str, inputs: Sequence[np.ndarray] | None = None) -> Probe:
    """Opens and runs a file once.

    Args:
        content: of the file.
        label: what messages call it, such as its path.
        inputs: one array for every input; None: fixed random ones.

    Raises:
        TFLiteFileError: for anything that is not one subgraph of built-in operators with sizes known beforehand,
            and for a file that the interpreter refuses, dies of, or does not finish.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        if inputs is not None:
            np.savez(folder / "inputs.npz", *inputs)
        answer = _answer(folder)
        problem = answer.get("error") or _other_than_one_plain_graph(content)
        if problem:
            problem = explain_refusal(content, problem)
            raise TFLiteFileError(f"{label}: not a model that can be run: {' '.join(problem.split())}")
        with np.load(folder / "arrays.npz") as arrays:
            given = [arrays[name] for name in arrays if name.startswith("input")]
            outputs = [arrays[name] for name in arrays if name.startswith("output")]
    return Probe(**answer, inputs=given, outputs=outputs)


def _answer(folder: Path) -> dict:
    command = [sys.executable, str(_PROGRAM), str(folder)]
    try:
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return {"error": f"it did not finish within {_PATIENCE} s"}
    if process.returncode < 0:
        return {"error": f"the interpreter died of it ({signal.Signals(-process.returncode).name})"}
    if process.returncode:
        return {"error": (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]}
    return json.loads((folder / "answer.json").read_text())


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
    """What is wrong with the numbers that the interpreter does not look at but a rewritten file has to keep."""
    buffers, tensors = len(model.buffers or []), len(model.subgraphs[0].tensors or [])
    if not buffers or (model.buffers[0].data is not None and len(model.buffers[0].data)):
        return "buffer 0 must be there and empty"
    external = model.externalBuffers or any(tensor.externalBuffer for tensor in model.subgraphs[0].tensors or [])
    if external or any(buffer.offset > 1 for buffer in model.buffers):
        return "its constants lie outside of the flatbuffer"
    stray = [entry.buffer for entry in model.metadata or [] if entry.buffer >= buffers]
    if stray:
        return f"its metadata points to buffer {stray[0]} of {buffers}"
    for signature in model.signatureDefs or []:
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            if entry.tensorIndex >= tensors:
                return f"a signature points to tensor {entry.tensorIndex} of {tensors}"
    return None
