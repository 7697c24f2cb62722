"""ncnn: the .onnx file, converted by pnnx."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.runtimes.runtime import Case, NotOfferedError, Run, Runtime, nchw
from scarlet_tf.files import write_atomically


class Ncnn(Runtime):
    package = "ncnn"
    settings = "16-bit storage and arithmetic off; converted by pnnx"

    def load(self, case: Case, image: np.ndarray) -> Run:
        if case.format == "int8":
            raise NotOfferedError("ncnn's Python package has no quantizer: ncnn2table and ncnn2int8 are C++ programs")
        import ncnn

        net = ncnn.Net()
        options = net.opt
        options.num_threads = case.threads
        options.use_vulkan_compute = False
        for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "bf16_packed"):
            setattr(options, f"use_{kind}", False)
        param, weights = self._files(case)
        if net.load_param(str(param)) or net.load_model(str(weights)):
            raise ValueError(f"ncnn cannot load {param}")
        values = nchw(image)[0]
        mat = ncnn.Mat(values).clone()  # the first is a view of the values, which go
        takes, gives = net.input_names()[0], net.output_names()[0]

        def run() -> np.ndarray:
            extractor = net.create_extractor()
            extractor.input(takes, mat)
            _, output = extractor.extract(gives)
            return np.array(output).reshape(1, -1)

        return run

    def _files(self, case: Case) -> tuple[Path, Path]:
        param, weights = case.kept(self, ".param"), case.kept(self, ".bin")
        if not param.exists():
            import onnx
            import pnnx

            (source,) = onnx.load(case.onnx).graph.input
            sizes = [size.dim_value for size in source.type.tensor_type.shape.dim]
            with tempfile.TemporaryDirectory() as folder:
                network = Path(folder) / "network.onnx"
                network.write_bytes(Path(case.onnx).read_bytes())
                program = Path(pnnx.__file__).with_name("pnnx")
                command = [program, network, f"inputshape={sizes}".replace(" ", ""), "fp16=0"]
                done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                made = Path(folder) / "network.ncnn.param"
                if not made.exists():
                    raise ValueError(f"pnnx cannot convert the network: {done.stdout[-300:]}")
                write_atomically(weights, made.with_suffix(".bin").read_bytes())
                write_atomically(param, made.read_bytes())
        return param, weights
