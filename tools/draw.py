"""Draw a network as an SVG picture.

    python tools/draw.py --model=scarlet_a --output=a.svg

Colour is the kernel size, height the expansion ratio; a frame means squeeze-and-excite.
"""

from absl import flags

from scarlet_tf.cli import run

_MODEL = flags.DEFINE_string(
    "model", None, "A zoo name, a spec's JSON file, a trained folder, or a genome.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The .svg file to write.", required=True)
_LEGEND = flags.DEFINE_boolean("legend", True, "Include the legend.")


def main() -> None:
    from pathlib import Path

    from scarlet_tf.files import check_output_file, write_atomically
    from scarlet_tf.paths import local_copy
    from scarlet_tf.report import draw_architecture
    from scarlet_tf.zoo import resolve_spec

    if Path(_OUTPUT.value).suffix.lower() != ".svg":
        raise ValueError(f"ending of --output must be '.svg', got {_OUTPUT.value!r}")
    check_output_file(_OUTPUT.value)
    spec_file = local_copy(_MODEL.value) / "spec.json"  # of a trained folder
    spec = resolve_spec(str(spec_file) if spec_file.is_file() else _MODEL.value)
    write_atomically(_OUTPUT.value, draw_architecture(spec, legend=_LEGEND.value))
    print(_OUTPUT.value)


if __name__ == "__main__":
    run(main)
