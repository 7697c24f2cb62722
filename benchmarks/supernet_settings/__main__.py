"""Measure supernet settings that the paper leaves open, each against the quickstart's settings.

    OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.supernet_settings

The settings are: sum or mean of the 13 paths' gradients for stem and tail, the initialisation of LETs, and the learning
rate. To resume the benchmark, run the same command again. Writes a .json and a .md file.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run, usable_cores

_STEPS = flags.DEFINE_integer("steps", 200, "Number of fair steps of each supernet.", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of supernets trained per setting.", lower_bound=1)
_RUNS = flags.DEFINE_string("runs", "runs/supernet_settings", "Folder of the supernets.")
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/supernet_settings.")

PATHS, IMAGES = 39, 1000


def main() -> None:
    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from scarlet_tf.supernet.supernet_config import share_out_threads

    output = choose_output(_OUTPUT.value, "supernet_settings")
    load_tensorflow(threads=share_out_threads(len(usable_cores())))
    from benchmarks.supernet_settings.variants import make_page, measure
    from scarlet_tf.arch import get_space
    from scarlet_tf.data import DataConfig
    from scarlet_tf.supernet import SupernetConfig

    base = SupernetConfig(
        space=get_space("small"),
        data=DataConfig(name="fashion_mnist", image_size=32, search_validation=5000),
        steps=_STEPS.value,
        batch_size=32,
        learning_rate=0.2,
        warmup_steps=_STEPS.value // 6,
    )
    result = {
        **provenance(command_line(without=("output", "runs")), packages=("numpy", "tensorflow")),
        "config": base.to_dict(),
        "seeds": _SEEDS.value,
        "paths": PATHS,
        "images": IMAGES,
        "variants": measure(base, _RUNS.value, seeds=_SEEDS.value, paths=PATHS, images=IMAGES),
    }
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
