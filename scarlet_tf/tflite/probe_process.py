"""Runs a .tflite file once: the process that `scarlet_tf.tflite.probe` starts. Takes and leaves files in a folder.

    python probe_process.py FOLDER   # model.tflite, perhaps inputs.npz -> answer.json, arrays.npz

By itself it imports nothing of the package, so that it starts in a tenth of a second.
"""

import collections
import json
import resource
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MEMORY_LIMIT = 8 << 30  # bytes of address space


def run(folder: Path) -> dict:
    interpreter = Interpreter(model_content=(folder / "model.tflite").read_bytes(), num_threads=1)
    sources = interpreter.get_input_details()
    for source in sources:
        if -1 in source["shape_signature"]:
            shape = ", ".join(str(size) for size in source["shape_signature"])
            raise ValueError(f"input {source['name']!r} has an open size, ({shape}): convert it with a fixed batch")
    interpreter.allocate_tensors()
    given = folder / "inputs.npz"
    inputs = (
        list(np.load(given).values()) if given.exists() else [_random(n, source) for n, source in enumerate(sources)]
    )
    for source, values in zip(sources, inputs, strict=True):
        interpreter.set_tensor(source["index"], values)
    interpreter.invoke()
    outputs = [interpreter.get_tensor(result["index"]) for result in interpreter.get_output_details()]
    if not outputs or not all(output.size for output in outputs):
        raise ValueError("it gives no output, or an empty one")
    other = sorted({str(output.dtype) for output in outputs if output.dtype.kind not in "fiub"})
    if other:
        raise ValueError(f"expected outputs of real numbers, got {', '.join(other)}")
    arrays = {f"input{n}": array for n, array in enumerate(inputs)}
    np.savez(folder / "arrays.npz", **arrays, **{f"output{n}": array for n, array in enumerate(outputs)})
    operations = collections.Counter(detail["op_name"] for detail in interpreter._get_ops_details())
    partitions = operations.pop("DELEGATE", 0)
    return {"operations": dict(operations.most_common()), "partitions": partitions}


def _random(seed: int, source: dict) -> np.ndarray:
    """Standard normal, or any integer."""
    rng = np.random.default_rng(seed)
    if np.issubdtype(source["dtype"], np.floating):
        return rng.standard_normal(source["shape"]).astype(source["dtype"])
    limits = np.iinfo(source["dtype"])
    return rng.integers(limits.min, limits.max, source["shape"], source["dtype"], endpoint=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(sys.argv[1])
    try:
        answer = run(folder)
    except (ValueError, RuntimeError, MemoryError, OverflowError) as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    (folder / "answer.json").write_text(json.dumps(answer))
