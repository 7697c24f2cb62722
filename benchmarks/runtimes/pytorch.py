"""PyTorch: the .onnx file as a module, by onnx2torch; eager in channels_last, and compiled."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.runtimes.runtime import Case, NotOfferedError, Run, Runtime, nchw


class PyTorch(Runtime):
    package = "torch"
    settings = "eager, channels_last, inference_mode; int8 by torch.ao's FX quantization, backend x86"

    def load(self, case: Case, image: np.ndarray) -> Run:
        import torch

        torch.set_num_threads(case.threads)
        network, values = _channels_last(case, image)
        if case.format == "int8":
            network = _quantized(network, [torch.from_numpy(one[np.newaxis]) for one in case.calibration()])

        def run() -> np.ndarray:
            with torch.inference_mode():
                return network(values).numpy()

        return run


class CompiledPyTorch(Runtime):
    package = "torch"
    settings = "torch.compile with frozen weights, channels_last"

    def load(self, case: Case, image: np.ndarray) -> Run:
        if case.format == "int8":
            raise NotOfferedError("int8 for torch.compile is made by another package, torchao")
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{case.folder}/torchinductor")
        import torch
        import torch._inductor.config

        torch.set_num_threads(case.threads)
        torch._inductor.config.freezing = True
        network, values = _channels_last(case, image)
        compiled = torch.compile(network)

        def run() -> np.ndarray:
            with torch.no_grad():
                return compiled(values).numpy()

        return run


def _channels_last(case: Case, image: np.ndarray):
    """Return the network and its input, both in channels_last."""
    import onnx2torch
    import torch

    network = onnx2torch.convert(case.onnx).eval()
    values = torch.from_numpy(nchw(image))
    return network.to(memory_format=torch.channels_last), values.to(memory_format=torch.channels_last)


def _quantized(network, images):
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping, quantize_fx

    torch.backends.quantized.engine = "x86"
    prepared = quantize_fx.prepare_fx(network, get_default_qconfig_mapping("x86"), (images[0],))
    with torch.no_grad():
        for image in images:
            prepared(image)
    return quantize_fx.convert_fx(prepared)
