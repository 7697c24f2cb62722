"""Train a LET supernet with strict fairness, or resume a run.

    python tools/train_supernet.py --space=small --dataset=fashion_mnist --output=runs/supernet
    python tools/train_supernet.py --space=small --steps=1200 --batch_size=32 --learning_rate=0.2 --warmup_steps=100 \\
        --output=runs/short

The first command trains for 60 epochs, which takes hours on two cores; the second takes minutes. Compiling the first
step takes half a minute.

To resume a run from its newest checkpoint, run the same command again. SIGTERM writes a checkpoint and exits with code
143; Ctrl-C exits without writing one.

The run directory holds config.json, checkpoints, log.jsonl, tensorboard/ and, at the end, paths.json: the one-shot
accuracy of random paths.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run, usable_cores

_SPACE = flags.DEFINE_string(
    "space", "small", "Search space: small (32x32 images), scarlet (the paper's), or a .json file."
)
_DATASET = flags.DEFINE_string("dataset", "fashion_mnist", "Dataset: a tensorflow-datasets name, or folder:PATH.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")
_IMAGE_SIZE = flags.DEFINE_string(
    "image_size", None, "Image size in pixels: one side, or HEIGHTxWIDTH; default: the space's."
)
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Skip images that cannot be decoded, and report how many.")
_INPUT_WORKERS = flags.DEFINE_integer(
    "input_workers", None, "Most threads that read and decode images; default: one for each core.", lower_bound=1
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Where to keep encoded images after they were first read: memory, or a folder; default: nowhere."
)
_HELD_OUT = flags.DEFINE_integer("search_validation", 5000, "Number of training images held out for the search.")
_AUGMENT = flags.DEFINE_string("augment", "none", "Augmentation: none, flips, flip_crop or inception.")
_STEPS = flags.DEFINE_integer(
    "steps", None, "Number of fair steps; default: --epochs over the training images.", lower_bound=1
)
_EPOCHS = flags.DEFINE_integer("epochs", 60, "Number of epochs if --steps is not given (paper: 60).", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch_size", 256, "Global batch size.", lower_bound=1)
_RATE = flags.DEFINE_float("learning_rate", 0.045, "Peak learning rate, with cosine decay to 0.", lower_bound=0.0)
_WARMUP = flags.DEFINE_integer("warmup_steps", 0, "Steps of linear warm-up.", lower_bound=0)
_DECAY = flags.DEFINE_float("weight_decay", 4e-5, "L2 regularisation of kernels.", lower_bound=0.0)
_SHARED = flags.DEFINE_string(
    "shared_gradient", "mean", "Gradient of stem and tail, which all paths share: sum or mean over the paths."
)
_LET = flags.DEFINE_string("let_init", "identity", "Initialisation of LETs: identity or normal.")
_GAMMA = flags.DEFINE_float(
    "residual_gamma", 1.0, "Initial gamma of the last batch normalisation in blocks with a shortcut."
)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of weights, paths and data order.", lower_bound=0)
_STRATEGY = flags.DEFINE_string(
    "strategy", "one_device", "Distribution strategy: one_device, mirrored, multi_worker or tpu."
)
_TPU = flags.DEFINE_string(
    "tpu", "", "TPU for --strategy=tpu: a name, an address, or local; empty: the TPU named in the environment."
)
_RECOMPUTE = flags.DEFINE_bool("recompute", False, "Recompute blocks in the backward pass: less memory, more time.")
_PRECISION = flags.DEFINE_string("precision", "float32", "Compute precision: float32, mixed_bfloat16 or mixed_float16.")
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile the whole step as one XLA program.")
_STEPS_PER_CALL = flags.DEFINE_integer(
    "steps_per_call",
    1,
    "Most steps in one call of TensorFlow, for GPUs and TPUs; does not change the result.",
    lower_bound=1,
)
_CHECKPOINT = flags.DEFINE_integer("checkpoint_every", 500, "Steps between checkpoints.", lower_bound=1)
_KEEP_CHECKPOINTS = flags.DEFINE_integer("keep_checkpoints", 3, "Number of newest checkpoints to keep.", lower_bound=1)
_PATHS = flags.DEFINE_integer("paths", 64, "Number of random paths to evaluate at the end; 0: none.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the run.", required=True)


def main() -> None:
    import dataclasses
    import functools

    from scarlet_tf.arch import get_space
    from scarlet_tf.data import DataConfig, check_image_folder
    from scarlet_tf.data.encoded_cache import check_cache
    from scarlet_tf.files import check_free, check_run_folder
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.paths import as_path
    from scarlet_tf.runs.checkpoints import check_markers
    from scarlet_tf.runs.strategy import check_strategy, join_workers, make_strategy
    from scarlet_tf.supernet.supernet_config import InitConfig, SupernetConfig, share_out_threads

    check_strategy(_STRATEGY.value, tpu=_TPU.value, batch_size=_BATCH.value)
    if _PATHS.value and not _HELD_OUT.value:
        raise ValueError(f"--paths={_PATHS.value} needs held-out images, got --search_validation=0: set --paths=0 too")
    space = get_space(_SPACE.value)
    data = DataConfig(
        name=_DATASET.value,
        image_size=parse_image_size(_IMAGE_SIZE.value) or space.resolution,
        data_dir=_DATA_DIR.value,
        search_validation=_HELD_OUT.value,
        augment=_AUGMENT.value,
        skip_damaged=_SKIP_DAMAGED.value,
        input_workers=_INPUT_WORKERS.value,
        cache=_CACHE.value,
    )
    space = dataclasses.replace(space, resolution=data.image_size)
    settings = functools.partial(
        SupernetConfig,
        data=data,
        batch_size=_BATCH.value,
        learning_rate=_RATE.value,
        warmup_steps=_WARMUP.value,
        weight_decay=_DECAY.value,
        shared_gradient=_SHARED.value,
        precision=_PRECISION.value,
        init=InitConfig(let=_LET.value, residual_gamma=_GAMMA.value),
        seed=_SEED.value,
    )
    # Check the flags before the dataset, which determines classes and steps, is opened by TensorFlow.
    settings(space=space, steps=_STEPS.value or _WARMUP.value + 1)
    check_cache(_CACHE.value)
    check_image_folder(data.name)
    check_run_folder(_OUTPUT.value)
    check_markers(as_path(_OUTPUT.value))
    if _STRATEGY.value != "multi_worker":  # with multi_worker only the chief locks
        check_free(_OUTPUT.value)
    join_workers(_STRATEGY.value)
    load_tensorflow(threads=share_out_threads(len(usable_cores())) if _STRATEGY.value == "one_device" else None)
    from scarlet_tf.data import open_dataset
    from scarlet_tf.runs.distribution import is_chief
    from scarlet_tf.runs.workers import Workers
    from scarlet_tf.supernet import report_paths, train_supernet

    strategy = make_strategy(_STRATEGY.value, tpu=_TPU.value)  # before anything else touches TensorFlow's devices
    images = open_dataset(data)
    images.check_batch_size(_BATCH.value)
    config = settings(
        space=dataclasses.replace(space, classes=images.num_classes),
        steps=_STEPS.value or _EPOCHS.value * (images.num_examples["train"] // _BATCH.value),
    )
    train_supernet(
        config,
        _OUTPUT.value,
        strategy=strategy,
        checkpoint_every=_CHECKPOINT.value,
        keep_checkpoints=_KEEP_CHECKPOINTS.value,
        steps_per_call=_STEPS_PER_CALL.value,
        recompute=_RECOMPUTE.value,
        jit_compile=_JIT.value,
    )
    if _PATHS.value:
        if is_chief(strategy):
            how = {"data_dir": _DATA_DIR.value, "input_workers": _INPUT_WORKERS.value, "cache": _CACHE.value}
            print(report_paths(_OUTPUT.value, count=_PATHS.value, **how))
        Workers(strategy).barrier()


if __name__ == "__main__":
    run(main)
