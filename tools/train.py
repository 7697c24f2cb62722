"""Train one network on its own, or resume a run; write a folder with spec.json, model.keras and training.json.

    python tools/train.py --model=spec.json --dataset=fashion_mnist --recipe=small --output=runs/small
    python tools/train.py --model=scarlet_a --dataset=imagenet2012 --recipe=paper --strategy=mirrored --output=runs/a
    python tools/train.py --inherit_from=runs/supernet --genome=12,1,12,6,3,8 --epochs=1 --output=runs/inherited
    python tools/train.py --model=scarlet_a --weights=a.weights.h5 --dataset=folder:flowers --recipe=finetune --output=f
    python tools/train.py --model=runs/small --prune=0.5 --output=runs/small_pruned
    python tools/train.py --model=runs/small --dataset=folder:cells --recipe=finetune --validation=0.1 --patience=5 \\
        --class_weight=balanced --output=runs/cells

With --validation, the network is evaluated after every epoch on held-out images, and the best weights are kept.
curves.png and confusion.png in the folder show the course of training and the result.

With --qat, --prune or --cluster, a trained network is fine-tuned under that compression. The recipe's settings apply,
except that the run is shorter, the learning rate is lower, and there is no dropout and no weight averaging.

To resume a run that was stopped or killed, run the same command again. SIGTERM saves a checkpoint before the exit with
code 143.
"""

import sys

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome (4,8,2,... or SPACE:GENES), or a trained model's folder to start from.",
)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Initial weights: a .weights.h5 or .keras file, with any number of classes; or imagenet."
)
_INHERIT_FROM = flags.DEFINE_string(
    "inherit_from", None, "Supernet's run directory; training starts from the weights of its path --genome."
)
_GENOME = flags.DEFINE_string(
    "genome", None, "Path of the supernet in --inherit_from, such as 12,1,12,6,3,8; its LETs are kept."
)
_QAT = flags.DEFINE_bool(
    "qat", False, "Quantisation-aware training: learn the rounding and ranges of int8; see export_tflite.py."
)
_PRUNE = flags.DEFINE_float("prune", None, "Share of each kernel's weights to set to zero, such as 0.5.")
_CLUSTER = flags.DEFINE_integer(
    "cluster", None, "Number of distinct values that each kernel's weights share, such as 16."
)
_DATASET = flags.DEFINE_string("dataset", "fashion_mnist", "Dataset: a tensorflow-datasets name, or folder:PATH.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Data folder of tensorflow-datasets; default: see tools/prepare_fashion_mnist.py."
)
_SEARCH_VALIDATION = flags.DEFINE_integer("search_validation", 0, "Number of training images to hold out for a search.")
_VALIDATION = flags.DEFINE_string(
    "validation",
    None,
    "Images to evaluate after every epoch: a share of the training images to hold out, such as 0.1, or a split's name.",
)
_KEEP = flags.DEFINE_string(
    "keep",
    None,
    "Weights to keep. best: of the epoch with the highest validation accuracy (balanced accuracy with "
    "--class_weight=balanced), and of equal ones that with the lowest loss; last: the final ones. Default: "
    "best with --validation but without --prune, else last.",
)
_IMAGE_SIZE = flags.DEFINE_string(
    "image_size", None, "Image size in pixels: one side, or HEIGHTxWIDTH; default: the network's."
)
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Skip images that cannot be decoded, and report how many.")
_INPUT_WORKERS = flags.DEFINE_integer(
    "input_workers", None, "Most threads that read and decode images; default: one for each core.", lower_bound=1
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Where to keep encoded images after they were first read: memory, or a folder; default: nowhere."
)
_RECIPE = flags.DEFINE_string(
    "recipe", "small", "Training recipe: paper, small, or finetune (the classifier first, then all layers)."
)
_OUTPUT = flags.DEFINE_string("output", None, "Run directory to write, local or remote, such as gs://bucket/run.")
_NAME = flags.DEFINE_string(
    "name",
    None,
    "Name of the trained network; default: the spec's, or the output folder's if training starts from trained weights.",
)
_STRATEGY = flags.DEFINE_string(
    "strategy", "one_device", "Distribution strategy: one_device, mirrored, multi_worker or tpu."
)
_TPU = flags.DEFINE_string(
    "tpu", "", "TPU for --strategy=tpu: a name, an address, or local; empty: the TPU named in the environment."
)
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile a step as one XLA program: for GPUs and TPUs, slow on a CPU.")
_STEPS_PER_CALL = flags.DEFINE_integer(
    "steps_per_call",
    1,
    "Most steps in one call of TensorFlow, for GPUs and TPUs; does not change the result.",
    lower_bound=1,
)
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 500, "Steps between checkpoints.", lower_bound=1)
_KEEP_CHECKPOINTS = flags.DEFINE_integer(
    "keep_checkpoints",
    3,
    "Number of newest checkpoints to keep during the run; each holds the best weights so far too.",
    lower_bound=1,
)
_LOG_EVERY = flags.DEFINE_integer("log_every", 50, "Steps between lines of log.jsonl.", lower_bound=1)
_OVERRIDES = {
    "epochs": flags.DEFINE_float("epochs", None, "Number of epochs; default: the recipe's."),
    "frozen_epochs": flags.DEFINE_float(
        "frozen_epochs",
        None,
        "How many of the epochs, from the first, train only the classifier; default: the recipe's.",
    ),
    "batch_size": flags.DEFINE_integer("batch_size", None, "Global batch size; default: the recipe's."),
    "learning_rate": flags.DEFINE_float(
        "learning_rate", None, "Learning rate at the recipe's reference batch size; it scales with the batch size."
    ),
    "decay_rate": flags.DEFINE_float(
        "decay_rate", None, "Decay rate of the exponential schedule; default: the recipe's."
    ),
    "dropout": flags.DEFINE_float("dropout", None, "Dropout rate; default: the recipe's or the spec's."),
    "augment": flags.DEFINE_string(
        "augment", None, "Augmentation: none, flips (along both axes), flip_crop or inception; default: the recipe's."
    ),
    "patience": flags.DEFINE_integer("patience", None, "Stop after this many epochs without better weights; 0: never."),
    "class_weight": flags.DEFINE_string(
        "class_weight",
        None,
        "balanced: weight the loss of each class by n / (k n_c), for n images in k classes, n_c of them in the "
        "class; or none.",
    ),
    "zero_gamma": flags.DEFINE_bool(
        "zero_gamma",
        None,
        "Start each block with a shortcut as the identity: its last batch normalisation has a scale of 0 at first. For "
        "short trainings from scratch.",
    ),
    "precision": flags.DEFINE_string(
        "precision", None, "Compute precision: float32, mixed_bfloat16 or mixed_float16; default: the recipe's."
    ),
    "accumulate": flags.DEFINE_integer(
        "accumulate",
        None,
        "Parts of a batch that go through the network one after the other, to save memory; default: 1.",
    ),
    "clip_norm": flags.DEFINE_float("clip_norm", None, "Largest norm of a batch's gradient; 0 or default: no limit."),
    "seed": flags.DEFINE_integer("seed", None, "Random seed of initial weights, data order, augmentation and dropout."),
}


def main() -> None:
    if not _OUTPUT.value:
        raise ValueError("--output is required: the run directory to write")
    if bool(_MODEL.value) == bool(_INHERIT_FROM.value):
        raise ValueError("expected either --model, or --inherit_from with --genome")
    if bool(_INHERIT_FROM.value) != bool(_GENOME.value):
        raise ValueError("--inherit_from and --genome must be set together")
    if _INHERIT_FROM.value and _WEIGHTS.value:
        raise ValueError("--weights cannot be combined with --inherit_from, which has its own weights")
    from scarlet_tf.committed import is_committed
    from scarlet_tf.data import DataConfig, check_image_folder
    from scarlet_tf.data.data_config import parse_validation
    from scarlet_tf.data.encoded_cache import check_cache
    from scarlet_tf.files import check_contains, check_free, check_run_folder
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.paths import as_path
    from scarlet_tf.runs.checkpoints import check_markers
    from scarlet_tf.runs.strategy import check_strategy, join_workers, make_strategy
    from scarlet_tf.training.config import check_name, train_config
    from scarlet_tf.zoo import check_model

    overrides = {name: flag.value for name, flag in _OVERRIDES.items() if flag.value is not None}
    images = {
        "name": _DATASET.value,
        "data_dir": _DATA_DIR.value,
        "search_validation": _SEARCH_VALIDATION.value,
        "skip_damaged": _SKIP_DAMAGED.value,
        "input_workers": _INPUT_WORKERS.value,
        "cache": _CACHE.value,
        "validation": None if _VALIDATION.value is None else parse_validation(_VALIDATION.value),
    }
    DataConfig(image_size=parse_image_size(_IMAGE_SIZE.value) or 1, **images)
    by_default = "best" if _VALIDATION.value is not None and _PRUNE.value is None else "last"
    overrides["keep"] = by_default if _KEEP.value is None else _KEEP.value
    intervals = {
        "checkpoint_every": _CHECKPOINT_EVERY.value,
        "keep_checkpoints": _KEEP_CHECKPOINTS.value,
        "log_every": _LOG_EVERY.value,
    }
    compressed = _QAT.value or _PRUNE.value is not None or _CLUSTER.value is not None
    not_for_them = {
        "jit_compile": _JIT.value,
        "steps_per_call": _STEPS_PER_CALL.value > 1,
        "image_size": _IMAGE_SIZE.value is not None,
    }
    for flag, given in not_for_them.items():
        if compressed and given:
            raise ValueError(f"--{flag} is not for --qat, --prune and --cluster")
    config = _compression(overrides) if compressed else train_config(_RECIPE.value, **overrides)
    (config.training if compressed else config).check_validation(validated=_VALIDATION.value is not None)
    check_run_folder(_OUTPUT.value)
    check_markers(as_path(_OUTPUT.value))
    if _NAME.value is not None:
        check_name(_NAME.value)
    check_strategy(_STRATEGY.value, tpu=_TPU.value, batch_size=(config.training if compressed else config).batch_size)
    if _INHERIT_FROM.value:
        check_contains(_INHERIT_FROM.value, "config.json", what="supernet")
    else:
        check_model(_MODEL.value, weights=_WEIGHTS.value, keras_file=False)
    check_cache(_CACHE.value)
    check_image_folder(_DATASET.value)
    ended_before = is_committed(as_path(_OUTPUT.value) / "training.json")
    if not ended_before and _STRATEGY.value != "multi_worker":  # with multi_worker only the chief locks
        check_free(_OUTPUT.value)
    join_workers(_STRATEGY.value)
    load_tensorflow()
    if compressed:
        line = _compress(config, images, intervals)
    else:
        strategy = make_strategy(_STRATEGY.value, tpu=_TPU.value)  # before anything else touches TensorFlow's devices
        line = _train(config, images, intervals, strategy=strategy)
    if ended_before:
        print(f"{_OUTPUT.value}: this run was already complete, and nothing was trained; its result:")
    print(line)


def _train(config, images: dict, intervals: dict, *, strategy) -> str:
    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.training.messages import statistics_warning, summarize_result
    from scarlet_tf.training.trainer import train
    from scarlet_tf.zoo import StartingPoint, starting_point

    if _INHERIT_FROM.value:
        from scarlet_tf.supernet import load_supernet

        supernet = load_supernet(_INHERIT_FROM.value)
        genome = supernet.space.parse(_GENOME.value)
        start = StartingPoint(
            spec=supernet.space.spec(genome, let=True),
            weights=supernet.path_weights(genome),
            preprocessing=supernet.preprocessing,
            origin=f"path {_GENOME.value} of a supernet",
        )
    else:
        start = starting_point(_MODEL.value, weights=_WEIGHTS.value)
    if _IMAGE_SIZE.value:
        start = start.at_resolution(parse_image_size(_IMAGE_SIZE.value))
    if start.note:
        _warn([start.note])
    # This run's augmentation decides which part of an image evaluation sees; the normalisation of pixels is kept.
    pixels = {"mean": start.mean, "std": start.std}
    data = open_dataset(DataConfig(image_size=start.spec.resolution, augment=config.augment, **pixels, **images))
    if not _INHERIT_FROM.value:
        start = start.for_classes(data.num_classes)
        if start.new_classifier:
            print(f"a new classifier for {data.num_classes} classes")
    _say_beforehand(data, config)
    if config.frozen_epochs and start.weights is None:
        _warn(["the frozen epochs train a classifier of random features: set --weights, or --frozen_epochs=0"])
    _warn(statistics_warning(data, config))
    # A supernet's path is already named after its genome.
    name = _name(start.spec, inherits=start.weights is not None and not _INHERIT_FROM.value)
    inherited = {"weights": start.weights, "origin": start.origin, "name": name}
    how = {"strategy": strategy, "jit_compile": _JIT.value, **intervals}
    how["steps_per_call"] = _STEPS_PER_CALL.value
    result = train(start.spec, data, config, output=_OUTPUT.value, **how, **inherited)
    return summarize_result(result)


def _compression(overrides: dict):
    if _INHERIT_FROM.value or _STRATEGY.value != "one_device":
        raise ValueError("--qat, --prune and --cluster need --model and --strategy=one_device")
    from scarlet_tf.compression import compression_config

    asked = {"qat": _QAT.value, "prune": _PRUNE.value, "cluster": _CLUSTER.value}
    return compression_config(_RECIPE.value, **asked, **overrides)


def _compress(config, images: dict, intervals: dict) -> str:
    from scarlet_tf.compression import compress, open_source, summarize
    from scarlet_tf.data import DataConfig, open_dataset

    source = open_source(_MODEL.value, weights=_WEIGHTS.value)
    if source.note:
        _warn([source.note])
    images = images | source.preprocessing.settings | {"augment": config.training.augment}
    data = open_dataset(DataConfig(image_size=source.input_shape[:2], **images))
    _say_beforehand(data, config.training)
    name = _name(source.spec, inherits=True)
    return summarize(compress(source, data, config, output=_OUTPUT.value, name=name, **intervals))


def _say_beforehand(data, config) -> None:
    from scarlet_tf.training.messages import notes_before, warnings_before

    for note in notes_before(data, config):
        print(note)
    _warn(warnings_before(data, config))


def _warn(lines) -> None:
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


def _name(spec, *, inherits: bool) -> str:
    """Return the trained network's name: --name, else the output folder's if it inherits weights, else the spec's."""
    from scarlet_tf.training.folder import name_of_folder

    return _NAME.value or (name_of_folder(_OUTPUT.value) if inherits else spec.name)


if __name__ == "__main__":
    run(main)
