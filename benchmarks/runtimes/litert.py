"""LiteRT, with XNNPACK: our .tflite files, optimized for a target, and float32 ones of litert-torch."""

from __future__ import annotations

import numpy as np

from benchmarks.runtimes.runtime import Case, NotOfferedError, Run, Runtime
from scarlet_tf.files import replaced_whole


class LiteRT(Runtime):
    package = "ai-edge-litert"

    def __init__(self, optimized_for: str) -> None:
        self._target = optimized_for
        self.settings = f"XNNPACK; the file optimized for `{optimized_for}`"

    def load(self, case: Case, image: np.ndarray) -> Run:
        from scarlet_tf.tflite import open_interpreter

        interpreter = open_interpreter(self._file(case), threads=case.threads)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        output = interpreter.get_output_details()[0]["index"]

        def run() -> np.ndarray:
            interpreter.invoke()
            return interpreter.get_tensor(output)

        return run

    def _file(self, case: Case) -> str:
        return case.tflite[self._target]


class LiteRTTorch(LiteRT):
    """The file that litert-torch makes of the .onnx file as a PyTorch module."""

    package = "litert-torch"

    def __init__(self) -> None:
        self.settings = "XNNPACK; float32, channels last"

    def _file(self, case: Case) -> str:
        if case.format != "float32":
            raise NotOfferedError("only the float32 file is compared")
        path = case.kept(self, ".tflite")
        if not path.exists():
            import litert_torch
            import onnx2torch
            import torch

            images = torch.from_numpy(np.load(case.images)[:1])
            network = litert_torch.to_channel_last_io(onnx2torch.convert(case.onnx).eval(), args=[0])
            with replaced_whole(path) as target:
                litert_torch.convert(network, (images,)).export(str(target))
        return str(path)
