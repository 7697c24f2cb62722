"""First run of an untrusted .tflite file, in a subprocess.

LiteRT checks a file's structure when it opens it, but a file can pass and still crash the interpreter or exhaust the
memory. A subprocess therefore runs it first, and a crash there is an ordinary error here.
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

from scarlet_tf.tflite.runtime import TFLiteFileError, explain_refusal

_PROGRAM = Path(__file__).with_name("first_look_process.py")
_PATIENCE = 300  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstRun:
    """Result of running a file once.

    Attributes:
        operations: count of each operation, most frequent first.
        partitions: partitions that the XNNPACK delegate runs; operations between them run one by one.
        inputs: arrays that the file was run on.
        outputs: arrays that it returned.
        other_outputs: dtypes of further outputs that are not numeric, such as text.
    """

    operations: dict[str, int]
    partitions: int
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    other_outputs: list[str]

    @property
    def ops(self) -> int:
        return sum(self.operations.values())


def first_run(content: bytes, *, label: str, inputs: Sequence[np.ndarray] | None = None) -> FirstRun:
    """Open and run a file once in a subprocess; an open batch size becomes 1.

    Args:
        content: of the file.
        label: name of the file in messages, such as its path.
        inputs: one array for every input; None for fixed random ones, see `first_look_process.random_inputs`.

    Raises:
        TFLiteFileError: for text inputs, for open sizes other than the batch, and for a file that the interpreter
            rejects, crashes on or does not finish; the message names the operator that failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        if inputs is not None:
            np.savez(folder / "inputs.npz", *inputs)
        answer = _answer(folder)
        if problem := answer.get("error"):
            raise TFLiteFileError(f"{label}: the model cannot be run: {explain_refusal(content, problem)}")
        with np.load(folder / "arrays.npz") as arrays:
            given = [arrays[name] for name in arrays if name.startswith("input")]
            outputs = [arrays[name] for name in arrays if name.startswith("output")]
    return FirstRun(**answer, inputs=given, outputs=outputs)


def _answer(folder: Path) -> dict:
    command = [sys.executable, str(_PROGRAM), str(folder)]
    try:
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return {"error": f"it did not finish within {_PATIENCE} s"}
    if process.returncode < 0:
        return {"error": f"the interpreter crashed ({signal.Signals(-process.returncode).name})"}
    if process.returncode:
        return {"error": (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]}
    return json.loads((folder / "answer.json").read_text(encoding="utf-8"))
