"""ONNX Runtime: the .onnx file; int8 by its static quantization, in QDQ form."""

from __future__ import annotations

import numpy as np

from benchmarks.runtimes.runtime import Case, Run, Runtime, nchw
from scarlet_tf.files import replaced_whole


class OnnxRuntime(Runtime):
    package = "onnxruntime"
    settings = "CPUExecutionProvider, all graph optimizations; int8 by quantize_static: QDQ, uint8 and per-channel int8"

    def load(self, case: Case, image: np.ndarray) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = case.threads
        options.log_severity_level = 4
        file = case.onnx if case.format == "float32" else self._int8_file(case)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_cpu_input(session.get_inputs()[0].name, nchw(image))
        binding.bind_output(session.get_outputs()[0].name)

        def run() -> np.ndarray:
            session.run_with_iobinding(binding)
            return binding.get_outputs()[0].numpy()

        return run

    def _int8_file(self, case: Case) -> str:
        path = case.kept(self, ".onnx")
        if not path.exists():
            from onnxruntime import quantization
            from onnxruntime.quantization.shape_inference import quant_pre_process

            with replaced_whole(path) as target:
                prepared = str(target.with_name("prepared.onnx"))
                quant_pre_process(case.onnx, prepared, skip_symbolic_shape=True)
                quantization.quantize_static(
                    prepared,
                    str(target),
                    _Images(case.calibration()),
                    quant_format=quantization.QuantFormat.QDQ,
                    activation_type=quantization.QuantType.QUInt8,
                    weight_type=quantization.QuantType.QInt8,
                    per_channel=True,
                )
        return str(path)


class _Images:
    """Calibration images, in the form that ONNX Runtime reads."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[np.newaxis]}
