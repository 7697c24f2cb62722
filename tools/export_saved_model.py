"""Export a model to a SavedModel with one serving signature, and check it against Keras.

    python tools/export_saved_model.py --model=scarlet_a --output=scarlet_a_saved_model

The signature "serving_default" takes `image` and gives `probabilities` or `logits`. The preprocessing of images
is described beside the graph, in assets.extra/scarlet_tf.json. LETs (linearly equivalent transformations) are folded
first where that is exact. A model without weights gets random ones, and batch normalisation statistics of a few images,
so that different images give different outputs.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome (4,8,2,... or SPACE:GENES), a .keras file, or a trained model's folder.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write; it must be empty or not exist.", required=True)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Weights for a name, spec or genome: a .weights.h5 or .keras file; default: random weights."
)
_SOFTMAX = flags.DEFINE_bool(
    "softmax", False, "Add a softmax after the logits, so that the signature gives probabilities."
)
_BATCH = flags.DEFINE_integer("batch_size", None, "Batch size for export; default: any.", lower_bound=1)
_PREPROCESSING = flags.DEFINE_bool(
    "include_preprocessing", False, "Make the SavedModel take pixels, 0 to 255, and normalise them itself."
)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the weights and of the images for the check.")


def main() -> None:
    from scarlet_tf.files import check_new_folder
    from scarlet_tf.zoo import check_model

    check_model(_MODEL.value, weights=_WEIGHTS.value)
    check_new_folder(_OUTPUT.value)
    load_tensorflow()
    import keras

    from scarlet_tf.export import export_saved_model, prepare, verify

    keras.utils.set_random_seed(_SEED.value)
    count = _BATCH.value or 2
    source = prepare(
        _MODEL.value,
        weights=_WEIGHTS.value,
        examples=count,
        include_preprocessing=_PREPROCESSING.value,
        softmax=_SOFTMAX.value,
        seed=_SEED.value,
    )
    for line in source.notes:
        print(line)
    path = export_saved_model(source.model, _OUTPUT.value, batch_size=_BATCH.value, record=source.record)
    (check,) = verify(source.original, source.images, saved_model=[path], batch_size=count).formats
    print(
        f"{path}: {check.bytes:,} bytes; against Keras on {count} random images: max error {check.max_error:.2e} "
        f"({check.relative_error:.2e} of the largest output)"
    )


if __name__ == "__main__":
    run(main)
