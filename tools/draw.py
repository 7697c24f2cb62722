"""Draw a network as an SVG or PNG picture.

    python tools/draw.py --model=scarlet_a --output=a.svg

Colour is the kernel size, height the expansion ratio; a frame means squeeze-and-excite.
"""

from absl import flags

from scarlet_tf.cli import run

_MODEL = flags.DEFINE_string(
    "model", None, "A zoo name, a spec's JSON file, or a genome (4,8,2,... or SPACE:GENES).", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The .svg or .png file to write.", required=True)
_LEGEND = flags.DEFINE_boolean("legend", True, "Include the legend.")


def main() -> None:
    from scarlet_tf.files import check_output_file
    from scarlet_tf.report import draw_architecture
    from scarlet_tf.report.picture import picture_format, write_as_named
    from scarlet_tf.zoo import resolve_spec

    picture_format(_OUTPUT.value)
    check_output_file(_OUTPUT.value)
    picture = draw_architecture(resolve_spec(_MODEL.value), legend=_LEGEND.value)
    write_as_named(_OUTPUT.value, picture)
    print(_OUTPUT.value)


if __name__ == "__main__":
    run(main)
