"""Run a program of benchmarks.accelerator with JAX on the first device that it finds, and print one line of JSON.

    python run_step.py step.hlo.gz --steps=20

Needs jax and numpy, not TensorFlow, and stands alone. Weights and images are random. With several programs in a row,
each is timed in turn. XLA_FLAGS=--xla_gpu_autotune_level=1 shortens the compilation on a GPU; for TF32 instead of
float32 products, set NVIDIA_TF32_OVERRIDE=1.

The line holds the device, compile_s, first_step_s and step_s (the median of the others) in seconds, and the bytes of
the compiled program's arguments and temporaries.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import time

import jax
import numpy as np

# JAX has no public interface to a serialized HLO module; these names were those of JAX 0.10.
from jax._src import compiler, xla_bridge
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jax._src.lib.mlir import ir

_DTYPES = {"f32": np.float32, "i32": np.int32, "si32": np.int32}


def random_arguments(shapes: list[tuple[tuple[int, ...], str]], *, seed: int = 0) -> list[np.ndarray]:
    """Return arguments for a program: images, labels, routes, learning rate and variables, as it takes them.

    Labels are 0 and 1 in turn. A route is a permutation, as in training. Images are drawn from N(0, 1), variables from
    N(0, 0.05); the learning rate is 0.01.

    Args:
        shapes: shape and MLIR element type of each argument.
    """
    rng = np.random.default_rng(seed)
    arguments = []
    for number, (shape, kind) in enumerate(shapes):
        if number == 1:
            value = np.arange(shape[0]) % 2
        elif kind != "f32":
            value = rng.permutation(shape[0])
        elif number and not shape and not any(value.shape == () for value in arguments):
            value = np.full((), 0.01)
        else:
            value = rng.standard_normal(shape) * (1.0 if number == 0 else 0.05)
        arguments.append(np.asarray(value).astype(_DTYPES[kind]))
    return arguments


class Program:
    """A compiled program.

    Attributes:
        compile_s: seconds to compile it.
        shapes: shape and MLIR element type of each argument.
    """

    def __init__(self, path: str, device) -> None:
        with gzip.open(path) as file:
            text = _jax.mlir.hlo_to_stablehlo(file.read())
        self._device = device
        with mlir.make_ir_context():
            module = ir.Module.parse(text)
            entry = next(op for op in module.body.operations if op.name.value == "main")
            kinds = [ir.RankedTensorType(kind) for kind in ir.FunctionType(entry.type).inputs]
            self.shapes = [(tuple(kind.shape), str(kind.element_type)) for kind in kinds]
            start = time.perf_counter()
            self._executable = xla_bridge.get_backend().compile_and_load(
                module,
                executable_devices=_jax.DeviceList((device,)),
                compile_options=compiler.get_compile_options(1, 1),
            )
            self.compile_s = time.perf_counter() - start

    def memory(self) -> dict[str, int]:
        """Return the bytes of arguments and of temporaries."""
        stats = self._executable.get_compiled_memory_stats()
        return {"argument_bytes": stats.argument_size_in_bytes, "temporary_bytes": stats.temp_size_in_bytes}

    def __call__(self, arguments: list) -> list:
        """Return the results, which are there when this returns. The arguments' memory may be reused for them."""
        shards = self._executable.execute_sharded(arguments).disassemble_into_single_device_arrays()
        results = [shard[0] for shard in shards]
        jax.block_until_ready(results)
        return results


def time_steps(program: Program, device, *, steps: int) -> dict[str, float]:
    """Run a first step and `steps` more, each with the variables that the one before returned."""
    arguments = [jax.device_put(value, device) for value in random_arguments(program.shapes)]
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        results = program(arguments)
        seconds.append(time.perf_counter() - start)
        variables = results[2:]
        arguments = [*arguments[: len(arguments) - len(variables)], *variables]
    return {"first_step_s": round(seconds[0], 3), "step_s": round(statistics.median(seconds[1:]), 5)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", help="gzipped programs")
    parser.add_argument("--steps", type=int, default=20, help="number of timed steps")
    flags = parser.parse_args()
    device = jax.devices()[0]
    for path in flags.programs:
        program = Program(path, device)
        result = {"program": path, "device": device.device_kind, "compile_s": round(program.compile_s, 1)}
        print(json.dumps(result | program.memory() | time_steps(program, device, steps=flags.steps)), flush=True)


if __name__ == "__main__":
    main()
