"""Write a Keras model's weights as a PyTorch checkpoint with the official code's names, and read it back.

    python tools/export_torch.py --model=scarlet_a --weights=scarlet_a.weights.h5 --output=scarlet_a.pth
    python tools/export_torch.py --model=runs/trained --output=trained.pth

The file holds {"model_state": state dict}. Needs PyTorch (the extra 'torch').
"""

from absl import flags

from scarlet_tf.cli import load_keras, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A trained model's folder, a .keras file of convert_torch.py, or with --weights a zoo name, spec or genome.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The PyTorch file to write.", required=True)
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights for a name, spec or genome: a .weights.h5 or .keras file.")


def main() -> None:
    from scarlet_tf.convert import check_torch, check_trained, export_checkpoint
    from scarlet_tf.files import check_output_file

    check_trained(_MODEL.value, weights=_WEIGHTS.value)
    check_output_file(_OUTPUT.value)
    check_torch()
    load_keras()
    done = export_checkpoint(_MODEL.value, _OUTPUT.value, weights=_WEIGHTS.value)
    print(
        f"{_OUTPUT.value}: {done.tensors} tensors, {done.params:,} params, read back bit for bit; SHA-256 {done.sha256}"
    )


if __name__ == "__main__":
    run(main)
