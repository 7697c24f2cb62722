"""LiteRT, with XNNPACK: our .tflite files, optimized for a target."""

from __future__ import annotations

import numpy as np

from benchmarks.runtimes.runtime import Case, Run, Runtime


class LiteRT(Runtime):
    package = "ai-edge-litert"

    def __init__(self, optimized_for: str) -> None:
        self._target = optimized_for
        self.settings = f"XNNPACK; the file optimized for `{optimized_for}`"

    def load(self, case: Case, image: np.ndarray) -> Run:
        from scarlet_tf.tflite import open_interpreter

        interpreter = open_interpreter(case.tflite[self._target], threads=case.threads)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        output = interpreter.get_output_details()[0]["index"]

        def run() -> np.ndarray:
            interpreter.invoke()
            return interpreter.get_tensor(output)

        return run
