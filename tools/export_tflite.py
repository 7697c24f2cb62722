"""Exports a model to a .tflite file with built-in operations only, fast on XNNPACK, and checks it against Keras.

    python tools/export_tflite.py --model=scarlet_a --output=a.tflite
    python tools/export_tflite.py --model=runs/b --output=b.tflite --quantize=int8 --representative_dataset=imagenette

Linearly equivalent transformations are folded first where that is exact; each one's slot is reported. Without weights
the model gets random ones, and the BN statistics of a few images, so that its outputs differ. What every pass after the
conversion did is reported too; --optimize_for=none leaves them out. A folder that train.py --qat wrote needs no images
for int8: it holds the ranges. With --input_type and --output_type of int8 or uint8 the file takes and gives quantized
integers; their scale and zero point are printed and stand in its record: real = (integer - zero point) * scale. An
int8_pure file then computes nothing in float.

The file carries standard TFLite metadata, with its normalisation and labels. Stock clients such as MediaPipe Tasks also
want scores, --softmax, and normalise all channels alike or, uint8 images, not at all: give --include_preprocessing.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome like 4,8,2,..., a .keras file, a trained model's or SavedModel's folder.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The .tflite file to write.", required=True)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "A .weights.h5 or .keras file, for a name, spec or genome; else they get random weights."
)
_QUANTIZE = flags.DEFINE_string(
    "quantize",
    "float32",
    "float32, float16, dynamic (int8 weights), int8, or int8_pure (for accelerators without float operations).",
)
_INPUT_TYPE = flags.DEFINE_string(
    "input_type", "float32", "float32, or int8 or uint8 for the formats int8 and int8_pure, quantized as the file says."
)
_OUTPUT_TYPE = flags.DEFINE_string("output_type", "float32", "As --input_type; both integer for Edge TPUs and NPUs.")
_OPTIMIZE_FOR = flags.DEFINE_enum(
    "optimize_for",
    "xnnpack",
    ["xnnpack", "none"],
    "xnnpack, or none: a plain file, as TensorFlow's converter leaves it.",
)
_PREPROCESSING = flags.DEFINE_bool(
    "include_preprocessing", False, "The file takes pixels, 0 to 255, and normalises them itself."
)
_SOFTMAX = flags.DEFINE_bool("softmax", False, "The file gives probabilities: a softmax follows the logits.")
_DATASET = flags.DEFINE_string(
    "representative_dataset", None, "Data set whose training images calibrate int8: a tfds name or folder:PATH."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of tensorflow-datasets.")
_SKIP_DAMAGED = flags.DEFINE_bool(
    "skip_damaged", None, "Leave out images that do not decode, and say how many; default: as trained."
)
_EXAMPLES = flags.DEFINE_integer("representative_examples", 100, "Number of those images.", lower_bound=1)
_CHECKED = flags.DEFINE_integer("check_examples", 8, "Images to compare with Keras on: those, or random ones.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of random weights and of the images.")


def main() -> None:
    from pathlib import Path

    from scarlet_tf.data import require_image_folder
    from scarlet_tf.files import require_place
    from scarlet_tf.formats import QUANTIZATIONS, check_ending, check_options, require_format
    from scarlet_tf.tflite import client_obstacle, describe_ends, read_record
    from scarlet_tf.zoo import read_training, require_model, skipped_damaged

    quantize = require_format("quantize", _QUANTIZE.value, QUANTIZATIONS)
    options = {
        "quantize": quantize,
        "input_type": _INPUT_TYPE.value,
        "output_type": _OUTPUT_TYPE.value,
        "optimize_for": _OPTIMIZE_FOR.value,
    }
    calibrated = _DATASET.value is not None
    learnt = (Path(_MODEL.value) / "qat.npz").is_file() and quantize == "int8" and not calibrated
    check_options(**options, has_representative=calibrated or learnt)
    if learnt and _PREPROCESSING.value:
        raise ValueError("include_preprocessing does not go with ranges learnt in training: give images")
    require_model(_MODEL.value, weights=_WEIGHTS.value, saved_model=True)
    if calibrated:
        require_image_folder(_DATASET.value)
    require_place(_OUTPUT.value)
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
            f"{obstacle}: give --include_preprocessing"
            + (" and --input_type=uint8" if options["input_type"] == "int8" else "")
        )
    path, images = _OUTPUT.value, source.images
    if learnt:
        from scarlet_tf.compression import describe_int8, export_qat

        compression = (training or {}).get("compression") or {}
        print("int8 with the ranges learnt in training")
        if "int8" in compression:
            print(describe_int8(compression["int8"]))
        ends = {name: options[name] for name in ("input_type", "output_type", "optimize_for")}
        converted = export_qat(_MODEL.value, path, **ends, softmax=_SOFTMAX.value, record=source.record)
    else:
        images_used = {"representative": [images], "input_range": source.input_range} if calibrated else {}
        converted = export_tflite(source.model, path, **options, **images_used, record=source.record)
    for report in converted.passes:
        print(report)
    checked = images[: _CHECKED.value]
    (check,) = verify(source.model, checked, tflite=(path,), preprocessing=source.preprocessing).formats
    print(", ".join(f"{name} {number}" for name, number in check.operations.items()))
    print(describe_ends(read_record(path)))
    # Noise leaves the ranges that training learnt on photographs, and is clipped.
    which = "images" if calibrated else "images of random noise"
    print(
        f"{path}: {check.bytes:,} bytes, {check.ops} operations, built-in only, {check.partitions} partitions; against "
        f"Keras on {len(checked)} {which}: max error {check.max_error:.2e} "
        f"({check.relative_error:.2e} of the largest output), top-1 same {check.top1_agreement:.4f}"
    )
    if learnt:
        print("int8 ranges learnt on photographs clip noise: tools/verify.py compares the file on test images")


if __name__ == "__main__":
    run(main)
