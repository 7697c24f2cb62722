"""Lower a fair supernet step to one XLA program, for accelerators on machines without TensorFlow.

    python -m benchmarks.accelerator --batch=64 --output=step.hlo.gz
    python -m benchmarks.accelerator --space=small --batch=8 --kernels=cpu --output=step.hlo.gz

The program is exactly the step that `train_supernet.py --jit_compile` runs. On the machine with the accelerator, JAX
runs it, and PyTorch runs the same work for comparison; both scripts stand alone:

    python run_step.py step.hlo.gz --steps=20
    python torch_step.py --size=224 --batch=64 --precision=bfloat16 --compile  # of benchmarks/step_peers

Prints one line of JSON: seconds to trace and to lower, peak resident memory, and the size of the program.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_SPACE = flags.DEFINE_string("space", "scarlet", "Named search space.")
_SIZE = flags.DEFINE_integer("size", None, "Side of the images in pixels; default: the space's.", lower_bound=8)
_BATCH = flags.DEFINE_integer("batch", 64, "Batch size.", lower_bound=1)
_PRECISION = flags.DEFINE_string(
    "precision", "mixed_bfloat16", "Compute precision: float32, mixed_bfloat16 or mixed_float16."
)
_RECOMPUTE = flags.DEFINE_bool("recompute", False, "Recompute blocks in the backward pass: less memory, more time.")
_KERNELS = flags.DEFINE_string("kernels", "accelerator", "Kind of device to make kernels for: accelerator or cpu.")
_OUTPUT = flags.DEFINE_string("output", None, "Path of the program: a gzipped HloModuleProto.", required=True)


def main() -> None:
    import dataclasses
    import json

    from scarlet_tf.arch import get_space
    from scarlet_tf.choices import check_known
    from scarlet_tf.files import check_output_file
    from scarlet_tf.supernet.supernet_config import PRECISIONS

    check_known("precision", _PRECISION.value, PRECISIONS)
    space = get_space(_SPACE.value)
    space = dataclasses.replace(space, resolution=_SIZE.value or space.resolution)
    check_output_file(_OUTPUT.value)
    load_tensorflow()
    from benchmarks.accelerator.lowering import write_program
    from scarlet_tf.kernels.device import set_device_kind

    set_device_kind(_KERNELS.value)
    how = {"precision": _PRECISION.value, "recompute": _RECOMPUTE.value}
    print(json.dumps(write_program(space, _OUTPUT.value, batch=_BATCH.value, **how)))


if __name__ == "__main__":
    run(main)
