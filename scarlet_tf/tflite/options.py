"""The kinds of .tflite file that are made, and which options go together."""

from __future__ import annotations

from scarlet_tf.choices import require_known

QUANTIZATIONS = ("none", "float16", "dynamic", "int8", "int8_pure")
INPUT_TYPES = ("float32", "uint8")
XNNPACK = "xnnpack"
TARGETS = (XNNPACK, "none")

SAVED_MODEL = "saved_model"
FORMATS = (SAVED_MODEL, *QUANTIZATIONS)  # everything that a model is shipped as


def check_options(*, quantize: str, input_type: str, has_representative: bool, optimize_for: str) -> None:
    """ValueError for options that cannot be met together; says the nearest for a misspelt one."""
    for label, value, known in (
        ("quantize", quantize, QUANTIZATIONS),
        ("input_type", input_type, INPUT_TYPES),
        ("optimize_for", optimize_for, TARGETS),
    ):
        require_known(label, value, known)
    integer = quantize.startswith("int8")
    if input_type == "uint8" and not integer:
        raise ValueError(f"input_type 'uint8' needs quantize 'int8' or 'int8_pure', got {quantize!r}")
    if integer and not has_representative:
        raise ValueError(f"quantize {quantize!r} needs representative images to calibrate with")
    if not integer and has_representative:
        raise ValueError(f"representative images calibrate quantize 'int8' only, got {quantize!r}")
