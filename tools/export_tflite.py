"""Export a model to a .tflite file of built-in operations that is fast on XNNPACK, and check it against Keras.

    python tools/export_tflite.py --model=scarlet_a --output=a.tflite
    python tools/export_tflite.py --model=runs/b --output=b.tflite --quantize=int8 --representative_dataset=imagenette

LETs (linearly equivalent transformations) are folded first where that is exact; the tool reports what it did with each.
It also reports which forms of operators it chose after the conversion; --optimize_for=none skips that. A model
without weights gets random ones, and batch normalisation statistics of a few images, so that different images give
different outputs.

int8 needs calibration images, except for a folder that train.py --qat wrote, which holds the ranges. With --input_type
and --output_type of int8 or uint8 the file takes and gives quantized integers: real = (integer - zero point) * scale.
Scale and zero point are printed and recorded in the file. An int8_pure file then computes nothing in float.

The file carries standard TFLite metadata, with its normalisation and labels. Stock clients such as MediaPipe Tasks also
need scores (--softmax), and normalise all channels alike or, for uint8 images, not at all: use --include_preprocessing.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run
from scarlet_tf.formats import TARGETS

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome (4,8,2,... or SPACE:GENES), a .keras file, or the folder of a "
    "trained model or SavedModel.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The .tflite file to write.", required=True)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Weights for a name, spec or genome: a .weights.h5 or .keras file; default: random weights."
)
_QUANTIZE = flags.DEFINE_string(
    "quantize",
    "float32",
    "Format: float32, float16, dynamic (int8 weights), int8, or int8_pure (for accelerators without float operations).",
)
_INPUT_TYPE = flags.DEFINE_string(
    "input_type",
    "float32",
    "Input type: float32; for the formats int8 and int8_pure also int8 or uint8, quantized as the file records.",
)
_OUTPUT_TYPE = flags.DEFINE_string(
    "output_type", "float32", "Output type, as for --input_type; make both integer for Edge TPUs and NPUs."
)
_OPTIMIZE_FOR = flags.DEFINE_enum(
    "optimize_for",
    "xnnpack",
    TARGETS,
    "What to choose the operators' forms for: xnnpack (all phones and PCs), arm64 (phones with dot products), host "
    "(this machine, measured), android (a device that measure_forms.py measured), size (as xnnpack, but the file grows "
    "by 1 % at most); none: a plain file, as TensorFlow's converter leaves it.",
)
_MAX_GROWTH = flags.DEFINE_float(
    "max_growth", None, "Bound of the file's size, as a multiple of the plain file's; default: no bound."
)
_PREPROCESSING = flags.DEFINE_bool(
    "include_preprocessing", False, "Make the file take pixels, 0 to 255, and normalise them itself."
)
_SOFTMAX = flags.DEFINE_bool("softmax", False, "Add a softmax after the logits, so that the file gives probabilities.")
_DATASET = flags.DEFINE_string(
    "representative_dataset",
    None,
    "Dataset whose training images calibrate int8: a tensorflow-datasets name or folder:PATH.",
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")
_SKIP_DAMAGED = flags.DEFINE_bool(
    "skip_damaged", None, "Skip images that cannot be decoded, and report how many; default: as trained."
)
_EXAMPLES = flags.DEFINE_integer("representative_examples", 100, "Number of calibration images.", lower_bound=1)
_CHECKED = flags.DEFINE_integer(
    "check_examples",
    8,
    "Number of images to compare with Keras on: calibration images if there are any, else random ones.",
    1,
)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the weights and images.")


def main() -> None:
    from scarlet_tf.data import check_image_folder
    from scarlet_tf.files import check_output_file
    from scarlet_tf.formats import QUANTIZATIONS, check_ending, check_max_growth, check_options, parse_format
    from scarlet_tf.paths import check_local, local_copy
    from scarlet_tf.tflite import client_obstacle, describe_ends, read_record
    from scarlet_tf.zoo import check_model, read_training, skipped_damaged

    quantize = parse_format("quantize", _QUANTIZE.value, QUANTIZATIONS)
    options = {
        "quantize": quantize,
        "input_type": _INPUT_TYPE.value,
        "output_type": _OUTPUT_TYPE.value,
        "optimize_for": _OPTIMIZE_FOR.value,
    }
    calibrated = _DATASET.value is not None
    learnt = (local_copy(_MODEL.value) / "qat.npz").is_file() and quantize == "int8" and not calibrated
    if not calibrated:
        for flag in ("representative_examples", "skip_damaged", "data_dir"):
            if flags.FLAGS[flag].present:
                raise ValueError(f"--{flag} needs --representative_dataset")
    check_options(**options, has_representative=calibrated or learnt)
    check_max_growth(_MAX_GROWTH.value, optimize_for=_OPTIMIZE_FOR.value, quantize=quantize)
    growth = {"max_growth": _MAX_GROWTH.value}
    if learnt and _PREPROCESSING.value:
        raise ValueError("include_preprocessing cannot use ranges learnt in training: set --representative_dataset")
    check_model(_MODEL.value, weights=_WEIGHTS.value, saved_model=True)
    if calibrated:
        check_image_folder(_DATASET.value)
    check_local(_OUTPUT.value, why="the file is run from there: copy it afterwards")
    check_output_file(_OUTPUT.value)
    check_ending(_OUTPUT.value, ".tflite")
    training = read_training(_MODEL.value)
    load_tensorflow()
    import keras

    from scarlet_tf.export import export_tflite, prepare, verify

    keras.utils.set_random_seed(_SEED.value)
    source = prepare(
        _MODEL.value,
        weights=_WEIGHTS.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        skip_damaged=skipped_damaged(training) if _SKIP_DAMAGED.value is None else _SKIP_DAMAGED.value,
        examples=_EXAMPLES.value if calibrated else _CHECKED.value,
        include_preprocessing=_PREPROCESSING.value,
        softmax=_SOFTMAX.value,
        seed=_SEED.value,
    )
    for line in source.notes:
        print(line)
    if _SOFTMAX.value and (obstacle := client_obstacle(source.record.get("input"), input_type=_INPUT_TYPE.value)):
        print(
            f"{obstacle}: use --include_preprocessing"
            + (" and --input_type=uint8" if options["input_type"] == "int8" else "")
        )
    path, images = _OUTPUT.value, source.images
    if learnt:
        from scarlet_tf.compression import describe_int8, export_qat

        compression = (training or {}).get("compression") or {}
        print("int8 uses the ranges learnt in training")
        if "int8" in compression:
            print(describe_int8(compression["int8"]))
        ends = {name: options[name] for name in ("input_type", "output_type", "optimize_for")}
        converted = export_qat(_MODEL.value, path, **ends, **growth, softmax=_SOFTMAX.value, record=source.record)
    else:
        images_used = {"representative": [images], "input_range": source.input_range} if calibrated else {}
        converted = export_tflite(source.model, path, **options, **growth, **images_used, record=source.record)
    for report in converted.reports:
        print(report)
    checked = images[: _CHECKED.value]
    (check,) = verify(source.original, checked, tflite=(path,), preprocessing=source.preprocessing).formats
    print(", ".join(f"{name} {number}" for name, number in check.operations.items()))
    print(describe_ends(read_record(path)))
    # Noise exceeds the ranges that training learnt on photographs, and is clipped.
    which = "images" if calibrated else "images of random noise"
    print(
        f"{path}: {check.bytes:,} bytes, {check.ops} operations, built-in only, {check.partitions} partitions; against "
        f"Keras on {len(checked)} {which}: max error {check.max_error:.2e} "
        f"({check.relative_error:.2e} of the largest output), same top-1 {check.top1_agreement:.4f}"
    )
    if learnt:
        print("int8 ranges learnt on photographs clip noise: use tools/verify.py to compare the file on test images")


if __name__ == "__main__":
    run(main)
