"""One name a format, and what the names before it are taken for."""

import pytest

from scarlet_tf.formats import FORMATS, format_in_name, parse_format


def test_former_names_are_taken_with_a_line(capfd):
    assert [parse_format("quantize", name) for name in ("none", "fp32", "int8", "float32")] == [
        "float32",
        "float32",
        "int8",
        "float32",
    ]
    assert capfd.readouterr().err.splitlines() == [
        "quantize 'none' is now called 'float32'",
        "quantize 'fp32' is now called 'float32'",
    ]
    with pytest.raises(ValueError, match=r"unknown format 'fp16'.*nearest is 'float16'"):
        parse_format("format", "fp16")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((f"runs/m/{name}.tflite", name) for name in FORMATS),
        ("m/fp32.tflite", "float32"),
        ("none.tflite", "float32"),
        ("m/saved_model", "saved_model"),
        ("m_int8_pure.tflite", "int8_pure"),
        ("scarlet_a-int8.tflite", "int8"),
        ("v1.float16.tflite", "float16"),
        ("uint8.tflite", None),
        ("fast.tflite", None),
        ("or_none.tflite", None),
    ],
)
def test_the_format_that_a_name_tells(path, name):
    assert format_in_name(path) == name
