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

from scarlet_tf.tflite.runtime import TFLiteFileError, explain_refusal

_PROGRAM = Path(__file__).with_name("first_look_process.py")
_PATIENCE = 300  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstRun:
    """What the interpreter made of a file.

    Attributes:
        operations: count of each operation, most frequent first.
        partitions: pieces that the XNNPACK delegate runs; what lies between them runs op by op.
        inputs: arrays that it was run on.
        outputs: arrays that it gave for them.
        other_outputs: types of further outputs that hold no numbers, such as text.
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
    """Opens and runs a file once, with a batch of open size as 1.

    Args:
        content: of the file.
        label: what messages call it, such as its path.
        inputs: one array for every input; None: fixed random ones, see `first_look_process.random_inputs`.

    Raises:
        TFLiteFileError: for inputs of text, or with open sizes besides the batch, and for a file that the interpreter
            refuses, dies of, or does not finish; names the operator that failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        if inputs is not None:
            np.savez(folder / "inputs.npz", *inputs)
        answer = _answer(folder)
        if problem := answer.get("error"):
            raise TFLiteFileError(f"{label}: not a model that can be run: {explain_refusal(content, problem)}")
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
        return {"error": f"the interpreter died of it ({signal.Signals(-process.returncode).name})"}
    if process.returncode:
        return {"error": (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]}
    return json.loads((folder / "answer.json").read_text(encoding="utf-8"))
