"""MNN: the .onnx file, by its own converter; int8 by its own quantizer."""

from __future__ import annotations

import importlib
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.runtimes.runtime import Case, Run, Runtime, nchw
from scarlet_tf.files import replaced_whole

_QUANTIZE = {"input_type": "sequence", "feature_quantize_method": "KL", "weight_quantize_method": "MAX_ABS"}


class Mnn(Runtime):
    package = "MNN"
    settings = "precision high; int8 by its own quantizer, KL"

    def load(self, case: Case, image: np.ndarray) -> Run:
        import MNN

        path = self._int8_file(case) if case.format == "int8" else self._float_file(case)
        interpreter = MNN.Interpreter(str(path))
        session = interpreter.createSession({"backend": "CPU", "numThread": case.threads, "precision": "high"})
        source, values = interpreter.getSessionInput(session), nchw(image)
        source.copyFrom(MNN.Tensor(values.shape, MNN.Halide_Type_Float, values, MNN.Tensor_DimensionType_Caffe))
        result = interpreter.getSessionOutput(session)
        output = np.zeros(result.getShape(), np.float32)
        host = MNN.Tensor(output.shape, MNN.Halide_Type_Float, output, MNN.Tensor_DimensionType_Caffe)

        def run() -> np.ndarray:
            interpreter.runSession(session)
            result.copyToHostTensor(host)  # in float32, whatever the runtime keeps it in
            return np.array(host.getData(), np.float32)

        return run

    def _float_file(self, case: Case) -> Path:
        path = case.kept(self, "_float.mnn")
        if not path.exists():
            with replaced_whole(path) as target:
                arguments = ["-f", "ONNX", "--modelFile", case.onnx, "--MNNModel", str(target), "--bizCode", "scarlet"]
                _tools().mnnconvert(["mnnconvert", *arguments])
        return path

    def _int8_file(self, case: Case) -> Path:
        """Quantize the float file; the tool reads each calibration image from a text file in a folder of its own."""
        path = case.kept(self, ".mnn")
        if not path.exists():
            with tempfile.TemporaryDirectory() as folder, replaced_whole(path) as target:
                images = case.calibration()
                inputs = [{"name": "image", "shape": [1, *images.shape[1:]]}]
                for number, image in enumerate(images):
                    place = Path(folder) / "images" / str(number)
                    place.mkdir(parents=True)
                    np.savetxt(place / "image.txt", image.ravel(), fmt="%.6g")
                    (place / "input.json").write_text(json.dumps({"inputs": inputs, "outputs": ["probabilities"]}))
                settings = _QUANTIZE | {"path": f"{folder}/images/", "used_sample_num": len(images)}
                config = Path(folder) / "config.json"
                config.write_text(json.dumps(settings))
                _tools().mnnquant(["mnnquant", str(self._float_file(case)), str(target), str(config)])
        return path


def _tools():
    """Return MNN's converters. Importing MNN.tools instead would call pip, and report to a server."""
    import MNN  # noqa: F401 (which loads what they need)

    return importlib.import_module("_tools")
