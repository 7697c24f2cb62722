"""Converts an official PyTorch checkpoint to Keras weights, and reads them back.

    python tools/convert_torch.py --model=scarlet_a --checkpoint=ScarletA.pth.tar --output=scarlet_a.weights.h5

Needs PyTorch (the extra 'torch'). Nothing in the checkpoint is run: another process reads its tensors.
What is written says which file it came from, and how images are normalised (scarlet_tf.convert.read_weights_record).
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string("model", None, "A zoo name, a spec's JSON file, or a genome like 4,8,2,...", required=True)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The PyTorch file: a state dict, or a dict that holds one as 'model_state'.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The .weights.h5 or .keras file to write.", required=True)


def main() -> None:
    from scarlet_tf.convert import convert_checkpoint, require_suffix, require_torch
    from scarlet_tf.files import require_place
    from scarlet_tf.zoo import resolve_spec
    from scarlet_tf.zoo.files import check_file

    spec = resolve_spec(_MODEL.value)
    require_suffix(_OUTPUT.value)
    require_place(_OUTPUT.value)
    check_file(_CHECKPOINT.value)
    require_torch()
    load_tensorflow()
    done = convert_checkpoint(spec, _CHECKPOINT.value, _OUTPUT.value)
    print(
        f"{_OUTPUT.value}: {done.tensors} tensors, {done.params:,} params, read back bit for bit; "
        f"{_CHECKPOINT.value} has SHA-256 {done.sha256}"
    )


if __name__ == "__main__":
    run(main)
