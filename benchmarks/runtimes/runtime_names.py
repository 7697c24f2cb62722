"""The runtimes of the comparison, by the names that its page gives them."""

from benchmarks.runtimes.litert import LiteRT, LiteRTTorch
from benchmarks.runtimes.mnn import Mnn
from benchmarks.runtimes.ncnn import Ncnn
from benchmarks.runtimes.onnx_runtime import OnnxRuntime
from benchmarks.runtimes.openvino import OpenVINO
from benchmarks.runtimes.pytorch import CompiledPyTorch, PyTorch
from benchmarks.runtimes.runtime import Runtime

PLAIN, XNNPACK, HOST = OURS = ("LiteRT none", "LiteRT xnnpack", "LiteRT host")
RUNTIMES: dict[str, Runtime] = {
    PLAIN: LiteRT("none"),
    XNNPACK: LiteRT("xnnpack"),
    HOST: LiteRT("host"),
    "LiteRT litert-torch": LiteRTTorch(),
    "OpenVINO": OpenVINO(),
    "ONNX Runtime": OnnxRuntime(),
    "ncnn": Ncnn(),
    "MNN": Mnn(),
    "PyTorch": PyTorch(),
    "PyTorch compiled": CompiledPyTorch(),
}
OTHERS = tuple(name for name in RUNTIMES if not name.startswith("LiteRT"))  # a file of another converter is no runtime
