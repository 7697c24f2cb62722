"""Exports a model to a .tflite file with built-in operations only, and checks it against Keras.

    python tools/export_tflite.py --model=scarlet_a --output=a.tflite
    python tools/export_tflite.py --model=runs/b --output=b.tflite --quantize=int8 --representative_dataset=imagenette

Linearly equivalent transformations are folded first where that is exact; each one's slot is reported. Without weights
the model gets random ones, and the BN statistics of a few images, so that its outputs differ.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome like 4,8,2,..., a .keras file, or a trained model's folder.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The .tflite file to write.", required=True)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "A .weights.h5 or .keras file, for a name, spec or genome; else they get random weights."
)
_QUANTIZE = flags.DEFINE_enum(
    "quantize", "none", ["none", "float16", "dynamic", "int8"], "none, float16, dynamic (int8 weights), or int8."
)
_INPUT_TYPE = flags.DEFINE_enum("input_type", "float32", ["float32", "uint8"], "float32, or uint8 with int8.")
_DATASET = flags.DEFINE_string(
    "representative_dataset", None, "Data set whose training images calibrate int8: a tfds name or folder:PATH."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of tensorflow-datasets.")
_EXAMPLES = flags.DEFINE_integer("representative_examples", 100, "Number of those images.", lower_bound=1)
_CHECKED = flags.DEFINE_integer("check_examples", 8, "Images to compare with Keras on: those, or random ones.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of random weights and of the images.")


def main() -> None:
    load_tensorflow()
    import keras

    from scarlet_tf.export import export_tflite, fold_model, settle_batch_norms, verify
    from scarlet_tf.export.tflite import check_options
    from scarlet_tf.zoo import open_model

    check_options(quantize=_QUANTIZE.value, input_type=_INPUT_TYPE.value, has_representative=_DATASET.value is not None)
    keras.utils.set_random_seed(_SEED.value)
    loaded = open_model(_MODEL.value, weights=_WEIGHTS.value)
    model = loaded.model
    images = _images(model)
    if not loaded.from_file:
        settle_batch_norms(model, images[:8])
    if loaded.spec is None and any(layer.name.endswith("_let") for layer in model.layers):
        print("LETs are kept: a .keras file alone does not say which can be folded; export its folder instead")
    if loaded.spec is not None and any(block.kind == "let" for block in loaded.spec.blocks):
        model, result = fold_model(model, loaded.spec)
        for slot in result.slots:
            print(f"LET of slot {slot.slot}: {slot.reason}")
    path = export_tflite(
        model,
        _OUTPUT.value,
        quantize=_QUANTIZE.value,
        input_type=_INPUT_TYPE.value,
        representative=None if _DATASET.value is None else [images],
    )
    (check,) = verify(model, images[: _CHECKED.value], tflite=(path,)).formats
    print(", ".join(f"{name} {number}" for name, number in check.operations.items()))
    print(
        f"{path}: {check.bytes:,} bytes, {check.ops} operations, built-in only; against Keras on "
        f"{min(len(images), _CHECKED.value)} images: max error {check.max_error:.2e} "
        f"({check.relative_error:.2e} of the largest output), top-1 same {check.top1_agreement:.4f}"
    )


def _images(model):
    """Normalised float32 images of the model's input size: the representative ones, or random."""
    import numpy as np

    from scarlet_tf.data import DataConfig, open_dataset

    _, height, width, channels = model.input_shape
    if _DATASET.value is None:
        rng = np.random.default_rng(_SEED.value)
        return rng.standard_normal((_CHECKED.value, height, width, channels), np.float32)
    # Training images prepared as for evaluation: the split that a search would hold out.
    count = _EXAMPLES.value
    config = DataConfig(name=_DATASET.value, image_size=height, data_dir=_DATA_DIR.value, search_validation=count)
    return np.concatenate([batch.numpy() for batch, _ in open_dataset(config).eval_batches("search_validation", 1)])


if __name__ == "__main__":
    run(main)
