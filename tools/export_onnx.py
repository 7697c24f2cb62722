"""Export a model to an ONNX file and check it against Keras in ONNX Runtime.

    python tools/export_onnx.py --model=scarlet_a --output=a.onnx
    python tools/export_onnx.py --model=runs/b --output=b.onnx --include_preprocessing --softmax --layout=nchw

LETs (linearly equivalent transformations) are folded first where that is exact, and batch normalisation is folded into
the convolutions. The input `image` is float32 (batch, height, width, channels), as in every other format; --layout=nchw
makes it (batch, channels, height, width). The output is `probabilities` or `logits`. The file's metadata record the
model, the normalisation of images and the names of the classes. Needs the extra `onnx`.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome (4,8,2,... or SPACE:GENES), a .keras file, or a trained model's folder.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The .onnx file to write.", required=True)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Weights for a name, spec or genome: a .weights.h5 or .keras file; default: random weights."
)
_OPSET = flags.DEFINE_integer("opset", 17, "Version of the ONNX operator set, 14 or newer.")
_LAYOUT = flags.DEFINE_enum(
    "layout", "nhwc", ["nhwc", "nchw"], "Layout of the input image: nhwc, as in Keras, or nchw."
)
_BATCH = flags.DEFINE_integer("batch_size", None, "Batch size for export; default: any.", lower_bound=1)
_PREPROCESSING = flags.DEFINE_bool(
    "include_preprocessing", False, "Make the file take pixels, 0 to 255, and normalise them itself."
)
_SOFTMAX = flags.DEFINE_bool("softmax", False, "Add a softmax after the logits, so that the file gives probabilities.")
_CHECKED = flags.DEFINE_integer("check_examples", 8, "Number of random images to compare with Keras on.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the weights and images.")


def main() -> None:
    from scarlet_tf.files import check_output_file
    from scarlet_tf.formats import check_ending
    from scarlet_tf.onnx_file import check_onnx_options
    from scarlet_tf.paths import check_local
    from scarlet_tf.zoo import check_model

    options = {"opset": _OPSET.value, "layout": _LAYOUT.value, "batch_size": _BATCH.value}
    check_onnx_options(**options)
    check_model(_MODEL.value, weights=_WEIGHTS.value)
    check_local(_OUTPUT.value, why="the file is run from there: copy it afterwards")
    check_output_file(_OUTPUT.value)
    check_ending(_OUTPUT.value, ".onnx")
    load_tensorflow()
    import keras

    from scarlet_tf.export import export_onnx, prepare, verify

    keras.utils.set_random_seed(_SEED.value)
    source = prepare(
        _MODEL.value,
        weights=_WEIGHTS.value,
        examples=max(_CHECKED.value, _BATCH.value or 1),
        include_preprocessing=_PREPROCESSING.value,
        softmax=_SOFTMAX.value,
        seed=_SEED.value,
    )
    for line in source.notes:
        print(line)
    path = _OUTPUT.value
    export_onnx(source.model, path, **options, record=source.record)
    images = source.images[: len(source.images) // (_BATCH.value or 1) * (_BATCH.value or 1)]
    (check,) = verify(source.original, images, onnx=[path]).formats
    print(", ".join(f"{name} {number}" for name, number in check.operations.items()))
    print(
        f"{path}: {check.bytes:,} bytes, {check.ops} operations, opset {_OPSET.value}, {_LAYOUT.value}; against Keras "
        f"on {len(images)} images: max error {check.max_error:.2e} ({check.relative_error:.2e} of the largest output), "
        f"same top-1 {check.top1_agreement:.4f}"
    )


if __name__ == "__main__":
    run(main)
