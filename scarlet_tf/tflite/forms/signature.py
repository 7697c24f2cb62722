"""Signature of an operator: everything that its cost depends on, as text; and a file with one such operator."""

from __future__ import annotations

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Activation, Graph, Op, Type

INT8, FLOAT32, HYBRID = "int8", "float32", "hybrid"  # hybrid: float32 activations, int8 weights
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_ACTIVATIONS = ("HARD_SWISH", "SOFTMAX")
_FUSED = {value: name for name, value in vars(Activation).items() if isinstance(value, int)}
_PADDINGS = {schema.Padding.SAME: "same", schema.Padding.VALID: "valid"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """An operator that may have other forms, with the PAD in front of it; `str` gives its canonical text.

    Attributes:
        kind: "CONV_2D", "DEPTHWISE_CONV_2D", "HARD_SWISH" or "SOFTMAX".
        type: "int8", "float32", or "hybrid" for float32 activations and int8 weights.
        shape: of the input, before the PAD.
        kernel: height, width and output channels of a convolution; the other fields are of convolutions too.
        stride, dilation: of rows and columns.
        pad: zeros of the PAD: above, below, left, right.
        padding: "same" or "valid".
        fused: the fused activation, such as "RELU6".

    Example:
        >>> text = "DEPTHWISE_CONV_2D int8 1x28x28x240 kernel 7x7x240 stride 1x1 dilation 1x1 pad 0,0,0,0 same NONE"
        >>> Signature.parse(text).shape
        (1, 28, 28, 240)
    """

    kind: str
    type: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    pad: tuple[int, ...] = (0, 0, 0, 0)
    padding: str = "same"
    fused: str = "NONE"

    def __str__(self) -> str:
        text = f"{self.kind} {self.type} {_times(self.shape)}"
        if not self.kernel:
            return text
        return (
            f"{text} kernel {_times(self.kernel)} stride {_times(self.stride)} dilation {_times(self.dilation)} "
            f"pad {','.join(map(str, self.pad))} {self.padding} {self.fused}"
        )

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Return the signature with a canonical text.

        Raises:
            ValueError: for any other text.
        """
        words = text.split(" ")
        try:
            fields = {"kind": words[0], "type": words[1], "shape": _numbers(words[2], "x")}
            if len(words) > 3:
                fields |= {name: _numbers(words[i + 1], "x") for i, name in ((3, "kernel"), (5, "stride"))}
                fields |= {"dilation": _numbers(words[8], "x"), "pad": _numbers(words[10], ",")}
                fields |= {"padding": words[11], "fused": words[12]}
            found = cls(**fields)
        except (IndexError, ValueError):
            found = None
        if found is None or str(found) != text or not found._is_known():
            raise ValueError(f"not the signature of an operator: {text!r}")
        return found

    def _is_known(self) -> bool:
        return (
            self.kind in (_CONVOLUTIONS if self.kernel else _ACTIVATIONS)
            and self.type in (INT8, FLOAT32, HYBRID)
            and self.padding in _PADDINGS.values()
            and self.fused in _FUSED.values()
        )

    def describe(self) -> str:
        """Return a short description for reports, such as "depthwise 7x7 28x28x240"."""
        size = _times(self.shape[1:])
        if not self.kernel:
            return f"{self.kind} {size}"
        name = "depthwise" if self.kind == "DEPTHWISE_CONV_2D" else "convolution"
        stride = "" if self.stride == (1, 1) else f" stride {max(self.stride)}"
        return f"{name} {_times(self.kernel[:2])} {size}{stride}"


def signature_of(graph: Graph, operator: schema.OperatorT) -> Signature | None:
    """Return the signature of an operator; None for kinds that have no other forms, and for open or computed sizes."""
    kind = graph.name(operator)
    if kind in _ACTIVATIONS:
        shape = graph.shape(operator.inputs[0])
        signature = Signature(kind=kind, type=graph.type_name(operator.inputs[0]), shape=shape)
    elif kind in _CONVOLUTIONS:
        signature = _of_convolution(graph, operator)
    else:
        return None
    return signature if signature is not None and signature.shape and min(signature.shape) > 0 else None


def _of_convolution(graph: Graph, operator: schema.OperatorT) -> Signature | None:
    image, kernel, options = operator.inputs[0], operator.inputs[1], operator.builtinOptions
    if not isinstance(options, schema.Conv2DOptionsT | schema.DepthwiseConv2DOptionsT):
        return None
    if not all(graph.is_map(index) for index in (image, kernel, operator.outputs[0])):
        return None
    if options.padding not in _PADDINGS or options.fusedActivationFunction not in _FUSED:
        return None
    image_type, kernel_type = graph.type_name(image), graph.type_name(kernel)
    source, amounts = graph.producer(image), None
    if source is not None and graph.code(source) == Op.PAD and graph.is_map(source.inputs[0]):
        amounts = graph.constant(source.inputs[1])
    if amounts is not None and amounts.shape == (4, 2) and not amounts[[0, 3]].any():
        image = source.inputs[0]
        pad = tuple(int(amount) for amount in amounts[1:3].reshape(-1))
    else:
        pad = (0, 0, 0, 0)
    return Signature(
        kind=graph.name(operator),
        type=HYBRID if (image_type, kernel_type) == (FLOAT32, INT8) else image_type,
        shape=graph.shape(image),
        kernel=(*graph.shape(kernel)[1:3], graph.shape(operator.outputs[0])[3]),
        stride=(options.strideH, options.strideW),
        dilation=(options.dilationHFactor, options.dilationWFactor),
        pad=pad,
        padding=_PADDINGS[options.padding],
        fused=_FUSED[options.fusedActivationFunction],
    )


def _times(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))


def _numbers(text: str, between: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(between))


def operator_file(signature: Signature, *, seed: int = 0) -> bytes:
    """Return a .tflite file with one operator of a signature, with random constants, for measuring and testing.

    Example:
        >>> content = operator_file(Signature(kind="HARD_SWISH", type="int8", shape=(1, 14, 14, 240)))
    """
    graph, rng = Graph.empty(), np.random.default_rng(seed)
    kind = Type.INT8 if signature.type == INT8 else Type.FLOAT32
    x = image = graph.add_tensor(kind, signature.shape, "image", quantization=_scaled(kind, 0.05, -3))
    if not signature.kernel:
        softmax = signature.kind == "SOFTMAX"
        scaled = _scaled(kind, 1 / 256, -128)  # which TFLite prescribes for a SOFTMAX
        y = graph.add_tensor(kind, signature.shape, "result", quantization=scaled)
        options = schema.SoftmaxOptionsT(beta=1.0) if softmax else schema.HardSwishOptionsT()
        graph.operators.append(graph.new_operator(getattr(Op, signature.kind), [x], [y], options=options))
        return _between(graph, image, y)
    if any(signature.pad):
        above, below, left, right = signature.pad
        amounts = np.int32([[0, 0], [above, below], [left, right], [0, 0]])
        shape = tuple(np.asarray(signature.shape) + amounts.sum(axis=1))
        x = graph.add_tensor(kind, shape, "padded", quantization=_scaled(kind, 0.05, -3))
        inputs = [image, graph.add_constant(amounts, "amounts")]
        graph.operators.append(graph.new_operator(Op.PAD, inputs, [x], options=schema.PadOptionsT()))
    constants = _constants(graph, signature, rng)
    y = graph.add_tensor(kind, _result_shape(graph.shape(x), signature), "result", quantization=_scaled(kind, 0.05, -5))
    options, version = _options(signature)
    graph.operators.append(
        graph.new_operator(getattr(Op, signature.kind), [x, *constants], [y], options=options, version=version)
    )
    return _between(graph, image, y)


def _scaled(kind: int, scale: float, zero_point: int) -> schema.QuantizationParametersT | None:
    if kind != Type.INT8:
        return None
    return schema.QuantizationParametersT(scale=np.float32([scale]), zeroPoint=np.int64([zero_point]))


def _constants(graph: Graph, signature: Signature, rng: np.random.Generator) -> list[int]:
    height, width, outputs = signature.kernel
    depthwise = signature.kind == "DEPTHWISE_CONV_2D"
    shape = (1, height, width, outputs) if depthwise else (outputs, height, width, signature.shape[3])
    taps = height * width * (1 if depthwise else signature.shape[3])
    values = rng.standard_normal(shape).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    if signature.type == FLOAT32:
        return [graph.add_constant(values / np.float32(np.sqrt(taps)), "weights"), graph.add_constant(bias, "bias")]
    scales = np.float32(rng.uniform(0.01, 0.03, outputs) / np.sqrt(taps))
    zero_points = np.zeros(outputs, np.int64)
    per_channel = schema.QuantizationParametersT(
        scale=scales, zeroPoint=zero_points, quantizedDimension=3 if depthwise else 0
    )
    weights = np.clip(np.round(values * 40), -127, 127).astype(np.int8)
    weights = graph.add_constant(weights, "weights", quantization=per_channel)
    if signature.type == HYBRID:
        return [weights, graph.add_constant(bias, "bias")]
    scaled = schema.QuantizationParametersT(scale=scales * np.float32(0.05), zeroPoint=zero_points)
    return [weights, graph.add_constant(np.round(bias * 500).astype(np.int32), "bias", quantization=scaled)]


def _result_shape(shape: tuple[int, ...], signature: Signature) -> tuple[int, ...]:
    sizes = []
    axes = zip(shape[1:3], signature.kernel, signature.stride, signature.dilation, strict=False)
    for size, taps, stride, dilation in axes:
        lost = 0 if signature.padding == "same" else dilation * (taps - 1)
        sizes.append(-(-(size - lost) // stride))
    return (shape[0], *sizes, signature.kernel[2])


def _options(signature: Signature):
    names = {name: value for value, name in _PADDINGS.items()}
    shared = {
        "padding": names[signature.padding],
        "strideH": signature.stride[0],
        "strideW": signature.stride[1],
        "dilationHFactor": signature.dilation[0],
        "dilationWFactor": signature.dilation[1],
        "fusedActivationFunction": getattr(Activation, signature.fused),
    }
    if signature.kind == "CONV_2D":
        return schema.Conv2DOptionsT(**shared), 1 if signature.type == FLOAT32 else 3
    multiplier = signature.kernel[2] // signature.shape[3]
    version = {INT8: 3, HYBRID: 6, FLOAT32: 1 if signature.dilation == (1, 1) else 2}[signature.type]
    return schema.DepthwiseConv2DOptionsT(**shared, depthMultiplier=multiplier), version


def _between(graph: Graph, image: int, result: int) -> bytes:
    graph.subgraph.inputs, graph.subgraph.outputs = [image], [result]
    return graph.to_bytes()
