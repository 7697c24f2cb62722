"""Files whose instructions on emulated processors are recorded in tests/golden/arm64_counts.json."""

from pathlib import Path

from scarlet_tf.export import export_tflite, prepare

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "tests" / "golden" / "arm64_counts.json"
RECORD_AGAIN = "PYTHONPATH=.:tests/helpers python tests/golden/arm64_counts.py"
CPU = "cortex-a76"
MODELS = {"scarlet_fashion": ROOT / "zoo" / "weights" / "scarlet_fashion", "scarlet_a": "scarlet_a"}


def export_networks(folder: Path) -> dict[str, Path]:
    """Export each network in float32 and int8, calibrated with noise, and return the files by name."""
    files = {}
    for name, model in MODELS.items():
        source = prepare(model, examples=8)
        for quantize in ("float32", "int8"):
            path = folder / f"{name}_{quantize}.tflite"
            calibration = [source.images] if quantize == "int8" else None
            export_tflite(source.model, path, quantize=quantize, representative=calibration, record=source.record)
            files[path.stem] = path
    return files
