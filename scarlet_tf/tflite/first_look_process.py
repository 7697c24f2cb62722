"""Script that runs a .tflite file once: the subprocess of `scarlet_tf.tflite.first_look`. Its files are in one folder.

    python first_look_process.py FOLDER   # model.tflite, optional inputs.npz -> answer.json, arrays.npz

It imports nothing from the package, so that it starts in a tenth of a second.
"""

import collections
import json
import resource
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

MEMORY_LIMIT = 8 << 30  # bytes of address space
NUMBERS = "fiubc"  # NumPy dtype kinds of numeric arrays


def allocate(interpreter: Interpreter) -> None:
    """Allocate tensors; an open batch size becomes 1."""
    for source in interpreter.get_input_details():
        signature, shape = source["shape_signature"].tolist(), source["shape"].tolist()
        if signature[:1] == [-1] and shape[0] != 1:
            interpreter.resize_tensor_input(source["index"], [1, *shape[1:]])
    interpreter.allocate_tensors()


def check_inputs(interpreter: Interpreter) -> None:
    """Raise ValueError for an input that is not numeric, or has open sizes other than the batch."""
    for source in interpreter.get_input_details():
        name, signature = source["name"], source["shape_signature"].tolist()
        kind = np.dtype(source["dtype"])
        if kind.kind not in NUMBERS:
            raise ValueError(f"input {name!r} has the type {'text' if kind.kind in 'SUO' else kind}, expected numbers")
        if -1 in signature[1:]:
            sizes = ", ".join(map(str, signature))
            raise ValueError(
                f"input {name!r} has unknown sizes besides the batch, ({sizes}): convert it with fixed ones"
            )


def random_inputs(interpreter: Interpreter, seed: int = 0) -> list[np.ndarray]:
    """Return a random array for every input, in order.

    Floats are standard normal, 8- and 16-bit integers cover their range, booleans are 0 or 1. Wider integers are all 1:
    they are sizes, or indices, most of which would lie outside a table.
    """
    return [_random(seed + number, source) for number, source in enumerate(interpreter.get_input_details())]


def _random(seed: int, source: dict) -> np.ndarray:
    rng, shape, dtype = np.random.default_rng(seed), source["shape"], np.dtype(source["dtype"])
    if dtype.kind in "iu" and dtype.itemsize > 2:
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.standard_normal(shape).astype(dtype)


def run(folder: Path) -> dict:
    content = (folder / "model.tflite").read_bytes()
    try:
        return _run(folder, Interpreter(model_content=content, num_threads=1))
    except RuntimeError as error:
        if "Delegate) failed" in str(error):  # a run without the delegate names the operator
            resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            _run(folder, Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver))
        raise


def _run(folder: Path, interpreter: Interpreter) -> dict:
    check_inputs(interpreter)
    allocate(interpreter)
    given = folder / "inputs.npz"
    inputs = list(np.load(given).values()) if given.exists() else random_inputs(interpreter)
    for source, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(source["index"], values)
    interpreter.invoke()
    outputs = [interpreter.get_tensor(result["index"]) for result in interpreter.get_output_details()]
    other = sorted({str(output.dtype) for output in outputs if output.dtype.kind not in NUMBERS})
    arrays = {f"input{n}": array for n, array in enumerate(inputs)}
    arrays |= {f"output{n}": array for n, array in enumerate(outputs) if array.dtype.kind in NUMBERS}
    np.savez(folder / "arrays.npz", **arrays)
    operations = collections.Counter(detail["op_name"] for detail in interpreter._get_ops_details())
    partitions = operations.pop("DELEGATE", 0)
    return {"operations": dict(operations.most_common()), "partitions": partitions, "other_outputs": other}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(sys.argv[1])
    try:
        answer = run(folder)
    except (ValueError, RuntimeError, MemoryError, OverflowError) as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    (folder / "answer.json").write_text(json.dumps(answer))
