"""Convert a PyTorch or safetensors checkpoint to Keras weights, and read them back.

    python tools/convert_torch.py --model=scarlet_a --checkpoint=ScarletA.pth.tar --output=scarlet_a.weights.h5

Needs PyTorch (the extra 'torch'), or for .safetensors the extra 'safetensors'. No code in the checkpoint is run: a
separate process reads its tensors. Prefixes that wrappers add to names, such as "module." and "_orig_mod.", are
removed. The written file records which file it came from and how images are normalised
(scarlet_tf.convert.read_weights_record).
"""

from absl import flags

from scarlet_tf.cli import load_keras, run

_MODEL = flags.DEFINE_string(
    "model", None, "A zoo name, a spec's JSON file, or a genome (4,8,2,... or SPACE:GENES).", required=True
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The checkpoint: .safetensors, a PyTorch state dict, or a dict that holds one.", required=True
)
_KEY = flags.DEFINE_string(
    "key",
    None,
    "Key of the weights in the checkpoint, such as state_dict_ema; a dot leads into a nested dict, or ends "
    "with a prefix of the names (state_dict.student). Default: the first that exists of model_state, "
    "state_dict, model_state_dict, model, network, net, weights, params, module, then averaged weights "
    "(state_dict_ema, model_ema, ema ...).",
)
_OUTPUT = flags.DEFINE_string("output", None, "The .weights.h5 or .keras file to write.", required=True)


def main() -> None:
    from scarlet_tf.convert import check_reader, check_weights_suffix, convert_checkpoint
    from scarlet_tf.files import check_output_file
    from scarlet_tf.zoo import resolve_spec
    from scarlet_tf.zoo.files import check_file

    spec = resolve_spec(_MODEL.value)
    check_weights_suffix(_OUTPUT.value)
    check_output_file(_OUTPUT.value)
    check_reader(check_file(_CHECKPOINT.value))
    load_keras()
    done = convert_checkpoint(spec, _CHECKPOINT.value, _OUTPUT.value, key=_KEY.value)
    key = f", weights under the key {done.key!r}" if done.key else ""
    others = f" (it also holds {', '.join(map(repr, done.others))})" if done.others else ""
    print(
        f"{_OUTPUT.value}: {done.tensors} tensors, {done.params:,} params, read back bit for bit; "
        f"{_CHECKPOINT.value} has SHA-256 {done.sha256}{key}{others}"
    )


if __name__ == "__main__":
    run(main)
