"""OpenVINO: the .onnx file; int8 by NNCF's post-training quantization."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.runtimes.runtime import Case, Run, Runtime, nchw
from scarlet_tf.files import replaced_whole


class OpenVINO(Runtime):
    package = "openvino"
    settings = "INFERENCE_PRECISION_HINT=f32 (its default on AMX is bfloat16), latency hint, one stream; int8 by NNCF"

    def load(self, case: Case, image: np.ndarray) -> Run:
        sys.modules["openvino_telemetry"] = None  # a benchmark sends nothing: both packages do without it
        import openvino

        core = openvino.Core()
        network = core.read_model(case.onnx if case.format == "float32" else self._int8_file(core, case))
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(case.threads),
        }
        request = core.compile_model(network, "CPU", options).create_infer_request()
        request.set_input_tensor(openvino.Tensor(nchw(image)))

        def run() -> np.ndarray:
            request.infer()
            return request.get_output_tensor().data

        return run

    def _int8_file(self, core, case: Case) -> str:
        path = case.kept(self, ".xml")
        if not path.exists():
            import nncf
            import openvino

            images = nncf.Dataset([image[np.newaxis] for image in case.calibration()])
            quantized = nncf.quantize(core.read_model(case.onnx), images, preset=nncf.QuantizationPreset.MIXED)
            with replaced_whole(path.with_suffix(".bin")) as weights, replaced_whole(path) as graph:
                openvino.serialize(quantized, str(graph), str(weights))
        return str(path)
