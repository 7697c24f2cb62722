"""Measure rounding errors of Keras, ONNX Runtime and a float32 .tflite file against the same network in float64.

    python -m benchmarks.precision --output=runs/precision

The error of an image is the largest difference of an output, as a share of the largest output of the float64 network.
Single errors scatter, so the benchmark compares means over images and over networks of several seeds. Networks with
random weights, whose batch normalisation is measured on a few images, are ill-conditioned: they show what an
implementation adds to Keras's own error. Trained weights show how much of that remains in use.
"""

from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_MODELS = flags.DEFINE_list("models", ["scarlet_a", "scarlet_b", "scarlet_c"], "Zoo names, separated by commas.")
_TRAINED = flags.DEFINE_string("trained", None, "A trained model's folder; default: zoo/weights/scarlet_fashion.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of random networks of each model.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 8, "Number of random images for each random network.", lower_bound=1)
_LIMIT = flags.DEFINE_integer("limit", 200, "Number of test images for the trained model.", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Output path without its ending, for .json and .md; default: zoo/results/precision."
)
_SHIPPED = Path(__file__).resolve().parents[2] / "zoo" / "weights" / "scarlet_fashion"


def main() -> None:
    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from scarlet_tf.onnx_file import check_onnx
    from scarlet_tf.zoo import check_model

    trained = _TRAINED.value or str(_SHIPPED)
    check_onnx()
    for model in (*_MODELS.value, trained):
        check_model(model)
    output = choose_output(_OUTPUT.value, "precision")
    load_tensorflow()
    from benchmarks.precision.rounding_errors import errors, make_page, open_trained, random_errors, summarize

    found = {
        f"{model}, random weights": random_errors(model, seeds=_SEEDS.value, images=_IMAGES.value)
        for model in _MODELS.value
    }
    source, images = open_trained(trained, limit=_LIMIT.value)
    found[f"{source.model.name}, trained"] = errors(source, images)
    packages = ("keras", "tensorflow", "onnxruntime", "ai-edge-litert")
    result = {
        **provenance(command_line(without=("output",)), packages=packages),
        "errors": {model: summarize(values) for model, values in found.items()},
    }
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
