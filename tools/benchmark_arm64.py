"""Count the instructions of .tflite files on emulated phone processors, without a phone.

    python tools/benchmark_arm64.py --set_up
    python tools/benchmark_arm64.py --models=a.tflite,b.tflite --cpu=cortex-a72,cortex-a76 --output=counts.json
    python tools/benchmark_arm64.py --models=a.tflite --operators
    python tools/benchmark_arm64.py --models=float32.tflite,int8.tflite --images=500 --dataset=fashion_mnist

QEMU runs LiteRT with the kernels that XNNPACK chooses for the processor, and counts the instructions of one inference
on one thread. Counts are the same on every machine to a few parts in ten thousand. They compare files and show what a
change costs, but they are not times: memory, caches, out-of-order execution and frequency are not emulated.

--set_up makes the emulator once, in the user's cache or $SCARLET_TF_ARM64: Debian's QEMU, Python for ARM64 and LiteRT's
ARM64 package. It needs Linux on x86_64, apt-get, gcc and a network, but no root, and changes nothing else.

--operators cuts every operator out of its file and counts it as a model of its own. --images runs test images through
each file here and on the processor, and compares the outputs. Images are prepared as the file's record
says.

Processors: cortex-a72 (ARMv8.0, no dot products), cortex-a76 (int8 dot products), armv9-i8mm (int8 matrix products),
x86-avx2 (no AVX-512, no VNNI).

If a file cannot be run, an error line names it, the others are still counted, and the exit code is 2. A missing file
stops the tool before it counts.
"""

from absl import flags

from scarlet_tf.cli import fail, load_tensorflow, run

_SET_UP = flags.DEFINE_bool("set_up", False, "Set up the emulator, which takes about a minute.")
_MODELS = flags.DEFINE_list("models", [], "The .tflite files, separated by commas.")
_CPU = flags.DEFINE_list("cpu", ["cortex-a76"], "The emulated processors, separated by commas; see above.")
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the inputs.", lower_bound=0)
_OPERATORS = flags.DEFINE_bool("operators", False, "Also count every operator of each file on its own.")
_COSTLIEST = flags.DEFINE_integer("costliest", 10, "Number of operators that --operators lists.", lower_bound=1)
_IMAGES = flags.DEFINE_integer(
    "images", None, "Number of test images, from the first, to compare outputs on instead of counting.", lower_bound=1
)
_DATASET = flags.DEFINE_string("dataset", None, "Dataset of --images: a tensorflow-datasets name or folder:PATH.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write; default: none.")


def main() -> None:
    from scarlet_tf.choices import check_known
    from scarlet_tf.data import check_image_folder
    from scarlet_tf.files import check_output_file
    from scarlet_tf.latency import CPUS, check_emulator, find_failures, set_up_emulator

    if _SET_UP.value:
        print(f"the emulator is ready in {set_up_emulator()}")
        if not _MODELS.value:
            return
    if not _MODELS.value:
        raise ValueError("--models is required: the .tflite files, separated by commas; or --set_up")
    if not _CPU.value:
        raise ValueError(f"--cpu is empty, expected names out of {', '.join(CPUS)}")
    for cpu in _CPU.value:
        check_known("cpu", cpu, CPUS)
    if flags.FLAGS["costliest"].present and not _OPERATORS.value:
        raise ValueError("--costliest needs --operators, which prints the costliest operators")
    if (_IMAGES.value is None) != (_DATASET.value is None):
        raise ValueError("--images and --dataset need each other")
    if _DATA_DIR.value and not _IMAGES.value:
        raise ValueError("--data_dir needs --images, which reads a dataset")
    if _IMAGES.value and (_OPERATORS.value or flags.FLAGS["seed"].present or len(_CPU.value) > 1):
        raise ValueError(
            "--images compares outputs on one processor: omit --operators and --seed, and all but one of --cpu"
        )
    if _DATASET.value:
        check_image_folder(_DATASET.value)
    if _OUTPUT.value:
        check_output_file(_OUTPUT.value)
    check_emulator()
    failures = find_failures(_MODELS.value)
    if paths := [path for path in _MODELS.value if path not in failures]:
        (compare if _IMAGES.value else count)(paths, failures)
    if failures:
        fail(*failures.values())


def count(paths: list[str], failures: dict[str, str]) -> None:
    """Count instructions and print them; add files that cannot be cut to the failures."""
    from pathlib import Path

    from scarlet_tf.latency import measure_instructions, profile_instructions, save_instructions
    from scarlet_tf.tflite import TFLiteFileError

    costs = measure_instructions(paths, cpus=_CPU.value, seed=_SEED.value)
    print_costs(costs)
    profiles = {}
    for cost in costs if _OPERATORS.value else ():
        if cost.path in failures:
            continue
        content = Path(cost.path).read_bytes()
        try:
            profile = profile_instructions(content, label=cost.path, cpu=cost.cpu, seed=_SEED.value)
        except TFLiteFileError as error:
            failures[cost.path] = str(error)
        else:
            profiles[cost.path, cost.cpu] = profile
            print_profile(cost, profile)
    if _OUTPUT.value:
        save_instructions(costs, _OUTPUT.value, seed=_SEED.value, profiles=profiles, failures=failures)


def print_costs(costs) -> None:
    print(f"{'file':40} {'cpu':12} {'M instr.':>10} {'ratio':>7} {'M MAdds':>9} {'per MAdd':>9} {'partitions':>10}")
    for cost in costs:
        per_madd = "-" if cost.per_madd is None else f"{cost.per_madd:.3f}"
        print(
            f"{cost.path:40} {cost.cpu:12} {cost.instructions / 1e6:10.3f} {cost.ratio:7.3f} {cost.madds / 1e6:9.2f} "
            f"{per_madd:>9} {cost.partitions:10}"
        )


def print_profile(cost, profile) -> None:
    print(
        f"\n{cost.path} on {cost.cpu}: operators one by one {profile.instructions / 1e6:.3f} M instructions, "
        f"whole model {cost.instructions / 1e6:.3f} M"
    )
    print(f"{'kind':24} {'count':>5} {'M instr.':>10} {'share':>6} {'M MAdds':>9}")
    for kind in profile.kinds:
        print(
            f"{kind.kind:24} {kind.count:5} {kind.instructions / 1e6:10.3f} {kind.share:6.1%} {kind.madds / 1e6:9.2f}"
        )
    print(f"{'costliest':24} {'M instr.':>10} {'M MAdds':>9}  operands -> result")
    for operator in profile.costliest(_COSTLIEST.value):
        shapes = ", ".join("x".join(map(str, shape)) or "()" for shape in operator.inputs[:2])
        print(
            f"{operator.kind:24} {operator.instructions / 1e6:10.3f} {operator.madds / 1e6:9.2f}  "
            f"{shapes} -> {'x'.join(map(str, operator.output))}"
        )


def compare(paths: list[str], failures: dict[str, str]) -> None:
    """Run test images here and on the emulated processor, and print how the outputs differ."""
    load_tensorflow()
    from scarlet_tf.export import labelled_images
    from scarlet_tf.latency import compare_outputs, save_comparisons

    (cpu,) = _CPU.value
    comparisons = []
    for path in paths:
        images, labels = labelled_images(path, dataset=_DATASET.value, data_dir=_DATA_DIR.value, limit=_IMAGES.value)
        comparisons.append(compare_outputs(path, images, cpu=cpu, labels=labels))
    print(
        f"{'file':40} {'cpu':12} {'images':>6} {'top-1 here':>10} {'emulated':>9} {'same top-1':>10} {'max error':>10}"
    )
    for found in comparisons:
        here, there = ("-" if value is None else f"{value:.4f}" for value in (found.accuracy, found.emulated_accuracy))
        print(
            f"{found.path:40} {found.cpu:12} {found.images:6} {here:>10} {there:>9} {found.top1_agreement:10.4f} "
            f"{found.max_error:10.2e}"
        )
    if _OUTPUT.value:
        save_comparisons(comparisons, _OUTPUT.value, dataset=_DATASET.value, failures=failures)


if __name__ == "__main__":
    run(main)
