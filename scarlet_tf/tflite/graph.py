"""Graph of a .tflite file that passes can rewrite: a few simple operations on LiteRT's flatbuffer objects."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.associated import AppendedZip

Op = schema.BuiltinOperator
Type = schema.TensorType
Activation = schema.ActivationFunctionType

_DTYPES = {
    Type.FLOAT32: np.dtype(np.float32),
    Type.FLOAT16: np.dtype(np.float16),
    Type.INT8: np.dtype(np.int8),
    Type.UINT8: np.dtype(np.uint8),
    Type.INT32: np.dtype(np.int32),
    Type.INT64: np.dtype(np.int64),
}
_TYPES = {dtype: kind for kind, dtype in _DTYPES.items()}
_TYPE_NAMES = {value: name for name, value in vars(Type).items() if isinstance(value, int)}
_OPERATORS = {value: name for name, value in vars(Op).items() if isinstance(value, int)}
_ALIGNMENT = 16  # bytes, of constants: the schema's `force_align`, which the generated Python code omits


class Graph:
    """The only subgraph of a model, with its operators in execution order.

    Tensors are identified by index. A pass adds tensors and replaces operators; `prune` removes what is no longer
    used. A zip of associated files after the flatbuffer is kept. The content must have passed
    `scarlet_tf.tflite.probe`, because the schema's accessors do not validate it.

    Example:
        >>> graph = Graph(Path("a.tflite").read_bytes())
        >>> print(*[graph.name(operator) for operator in graph.operators])
    """

    def __init__(self, content: bytes) -> None:
        self._appended = AppendedZip.of(content)
        self.model = schema.ModelT.InitFromPackedBuf(content)
        self.subgraph = self.model.subgraphs[0]
        self.subgraph.operators = _list(self.subgraph.operators)
        for owner in (self.subgraph, *self.subgraph.operators):
            owner.inputs, owner.outputs = ([int(index) for index in _list(e)] for e in (owner.inputs, owner.outputs))

    @classmethod
    def empty(cls) -> Graph:
        """Return a graph without tensors and operators, to be filled."""
        builder = _Builder(256)
        subgraph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[])
        model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[subgraph], buffers=[schema.BufferT()])
        builder.Finish(model.Pack(builder), b"TFL3")
        return cls(bytes(builder.Output()))

    def copy(self) -> Graph:
        """Return a graph that can be cut and rewritten on its own; it shares the data of constants."""
        other = copy.copy(self)
        other.model, other.subgraph = copy.copy(self.model), copy.copy(self.subgraph)
        other.model.subgraphs = [other.subgraph]
        for owner, name in (
            (other.model, "operatorCodes"),
            (other.model, "buffers"),
            (other.subgraph, "tensors"),
            (other.subgraph, "operators"),
        ):
            setattr(owner, name, [copy.copy(item) for item in getattr(owner, name)])
        if self.model.metadata is not None:
            other.model.metadata = [copy.copy(entry) for entry in self.model.metadata]
        if self.model.signatureDefs is not None:
            other.model.signatureDefs = copy.deepcopy(self.model.signatureDefs)
        return other

    @property
    def operators(self) -> list[schema.OperatorT]:
        return self.subgraph.operators

    def code(self, operator: schema.OperatorT) -> int:
        """Return the code of a built-in operator, one of `Op`."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    def name(self, operator: schema.OperatorT) -> str:
        """Return the operator's name, such as "DEPTHWISE_CONV_2D"."""
        return _OPERATORS[self.code(operator)]

    def of_kind(self, code: int) -> list[schema.OperatorT]:
        return [operator for operator in self.operators if self.code(operator) == code]

    def tensor(self, index: int) -> schema.TensorT:
        return self.subgraph.tensors[index]

    def shape(self, index: int) -> tuple[int, ...]:
        shape = self.tensor(index).shape
        return () if shape is None else tuple(int(n) for n in shape)

    def is_map(self, index: int) -> bool:
        """Return whether the file states four sizes for the tensor; the interpreter infers those of computed ones."""
        return len(self.shape(index)) == 4

    def is_open(self, index: int) -> bool:
        """Return whether a size of the tensor is open, such as the batch, and set by the user of the file.

        Of results, files need not say so: they are open if an input of the file is.
        """
        if self.is_constant(index):
            return False
        signatures = (self.tensor(each).shapeSignature for each in (index, *self.subgraph.inputs))
        return any(signature is not None and any(int(size) < 0 for size in signature) for signature in signatures)

    def is_type(self, index: int, kind: int) -> bool:
        return self.tensor(index).type == kind

    def type_name(self, index: int) -> str:
        """Return the tensor's dtype, such as "float32"."""
        return _TYPE_NAMES[self.tensor(index).type].lower()

    def producer(self, index: int) -> schema.OperatorT | None:
        """Return the operator that writes the tensor; None for an input or a constant."""
        return next((operator for operator in self.operators if index in operator.outputs), None)

    def consumers(self, index: int) -> list[schema.OperatorT]:
        return [operator for operator in self.operators if index in operator.inputs]

    def is_output(self, index: int) -> bool:
        return index in self.subgraph.outputs

    def float_operations(self) -> set[str]:
        """Return the names of operations that compute in float, except QUANTIZE, DEQUANTIZE and a final SOFTMAX."""
        ends = (Op.QUANTIZE, Op.DEQUANTIZE)
        computing = [operator for operator in self.operators if self.code(operator) not in ends]
        return {
            self.name(operator)
            for operator in computing
            if any(self.is_type(index, Type.FLOAT32) for index in operator.outputs)
            and not (self.code(operator) == Op.SOFTMAX and self.is_output(operator.outputs[0]))
        }

    def is_constant(self, index: int) -> bool:
        data = self.model.buffers[self.tensor(index).buffer].data
        return data is not None and len(data) > 0

    def constant(self, index: int) -> np.ndarray | None:
        """Return a constant tensor's values as stored.

        None if it is computed or sparse, has a type outside `_DTYPES`, or does not fill the shape that it states.
        """
        tensor, shape = self.tensor(index), self.shape(index)
        if not self.is_constant(index) or tensor.type not in _DTYPES or tensor.sparsity is not None:
            return None
        data, dtype = bytes(self.model.buffers[tensor.buffer].data), _DTYPES[tensor.type]
        if min(shape, default=1) < 1 or len(data) != math.prod(shape) * dtype.itemsize:
            return None
        return np.frombuffer(data, dtype).reshape(shape)

    def real_constant(self, index: int) -> np.ndarray | None:
        """Return a constant's real values, float32: dequantized, and read through a DEQUANTIZE of a constant."""
        source = self.producer(index)
        if source is not None:
            if self.code(source) != Op.DEQUANTIZE or self.producer(source.inputs[0]) is not None:
                return None
            values = self.real_constant(source.inputs[0])
            return values if values is not None and values.shape == self.shape(index) else None
        values = self.constant(index)
        if values is None:
            return None
        scale, zero_point, axis = self.quantization(index)
        if scale is None:
            return values.astype(np.float32)
        along = [1] * values.ndim
        if scale.size > 1:
            along[axis] = scale.size
        return ((values.astype(np.float64) - zero_point.reshape(along)) * scale.reshape(along)).astype(np.float32)

    def quantization(self, index: int) -> tuple[np.ndarray | None, np.ndarray | None, int]:
        """Return (scales, zero points, axis), arrays in float64; (None, None, 0) if the tensor holds real values.

        The interpreter has checked that there is a zero point for each scale, and a scale for each slice of the axis.
        """
        parameters = self.tensor(index).quantization
        if parameters is None or parameters.scale is None or not len(parameters.scale):
            return None, None, 0
        scale = np.asarray(parameters.scale, np.float64)
        zero_point = np.zeros_like(scale) if parameters.zeroPoint is None else np.asarray(parameters.zeroPoint)
        return scale, zero_point.astype(np.float64), int(parameters.quantizedDimension)

    def add_constant(
        self, values: np.ndarray, name: str, *, quantization: schema.QuantizationParametersT | None = None
    ) -> int:
        """Add a constant and return its index; without quantization, of real values or plain integers."""
        values = np.ascontiguousarray(values)
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        buffer = len(self.model.buffers) - 1
        return self._add(_TYPES[values.dtype], values.shape, name, buffer=buffer, quantization=quantization)

    def add_tensor(
        self,
        kind: int,
        shape: Sequence[int],
        name: str,
        *,
        quantization: schema.QuantizationParametersT | None = None,
    ) -> int:
        """Add a computed tensor and return its index; without quantization, of real values."""
        return self._add(kind, shape, name, buffer=0, quantization=quantization)

    def _add(
        self,
        kind: int,
        shape: Sequence[int],
        name: str,
        *,
        buffer: int,
        quantization: schema.QuantizationParametersT | None,
    ) -> int:
        tensor = schema.TensorT(shape=np.asarray(shape, np.int32), type=kind, buffer=buffer, name=name.encode())
        tensor.quantization = quantization
        tensor.hasRank = True
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def tensor_name(self, index: int) -> str:
        return (self.tensor(index).name or b"").decode(errors="replace")

    def new_operator(
        self, code: int, inputs: Sequence[int], outputs: Sequence[int], *, options=None, version: int = 1
    ) -> schema.OperatorT:
        """Return a new operator to pass to `replace`.

        Args:
            code: of the built-in operator, one of `Op`.
            inputs, outputs: tensor indices.
            options: the built-in operator's options object, such as `schema.AddOptionsT()`.
            version: of the operator, which the runtime must support.
        """
        operator = schema.OperatorT(
            opcodeIndex=self._opcode_index(code, version), inputs=list(inputs), outputs=list(outputs)
        )
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return operator

    def _opcode_index(self, code: int, version: int) -> int:
        for index, known in enumerate(self.model.operatorCodes):
            if max(known.builtinCode, known.deprecatedBuiltinCode) == code and known.version == version:
                return index
        # Codes above 127 do not fit the deprecated field, which then holds 127 as a marker (the schema's rule).
        self.model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=version)
        )
        return len(self.model.operatorCodes) - 1

    def replace(self, operator: schema.OperatorT, replacement: Sequence[schema.OperatorT]) -> None:
        """Replace one operator by a sequence of operators."""
        position = next(i for i, known in enumerate(self.operators) if known is operator)
        self.operators[position : position + 1] = replacement

    def metadata(self, name: str) -> bytes | None:
        """Return the metadata entry with this name; None if there is none."""
        for entry in _list(self.model.metadata):
            if entry.name == name.encode():
                data = self.model.buffers[entry.buffer].data
                return b"" if data is None else bytes(data)
        return None

    def set_metadata(self, name: str, content: bytes) -> None:
        """Add a metadata entry, replacing any with the same name."""
        entries = [entry for entry in _list(self.model.metadata) if entry.name != name.encode()]
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(content, np.uint8)))
        self.model.metadata = [*entries, schema.MetadataT(name=name, buffer=len(self.model.buffers) - 1)]
        self.prune()

    def prune(self) -> None:
        """Remove operators whose results are never read, then unused tensors, buffers and operator codes.

        An operator without results stays: it has a side effect, such as assigning a variable.
        """
        self._prune_operators()
        self._prune_tensors()
        self._prune_buffers()
        self._prune_codes()

    def _prune_operators(self) -> None:
        wanted = set(self.subgraph.outputs)
        kept = []
        for operator in reversed(self.operators):
            if not operator.outputs or wanted & set(operator.outputs):
                wanted |= set(operator.inputs)
                kept.append(operator)
        self.subgraph.operators = kept[::-1]

    def _prune_tensors(self) -> None:
        used = {*self.subgraph.inputs, *self.subgraph.outputs}
        for operator in self.operators:
            used |= {*operator.inputs, *operator.outputs, *(_list(operator.intermediates))}
        for signature in _list(self.model.signatureDefs):
            used |= {entry.tensorIndex for entry in [*_list(signature.inputs), *_list(signature.outputs)]}
        used = sorted(index for index in used if index >= 0)  # -1 is an omitted input
        new = {old: position for position, old in enumerate(used)} | {-1: -1}
        self.subgraph.tensors = [self.subgraph.tensors[index] for index in used]
        self.subgraph.inputs = [new[index] for index in self.subgraph.inputs]
        self.subgraph.outputs = [new[index] for index in self.subgraph.outputs]
        for operator in self.operators:
            operator.inputs = [new[index] for index in operator.inputs]
            operator.outputs = [new[index] for index in operator.outputs]
            operator.intermediates = [new[index] for index in _list(operator.intermediates)]
        for signature in self.model.signatureDefs or []:
            for entry in [*_list(signature.inputs), *_list(signature.outputs)]:
                entry.tensorIndex = new[entry.tensorIndex]

    def _prune_buffers(self) -> None:
        tensors = [tensor for graph in self.model.subgraphs for tensor in graph.tensors]
        metadata = _list(self.model.metadata)
        older = [int(index) for index in _list(self.model.metadataBuffer) if 0 <= index < len(self.model.buffers)]
        used = sorted({0, *older} | {tensor.buffer for tensor in tensors} | {entry.buffer for entry in metadata})
        new = {old: position for position, old in enumerate(used)}
        self.model.buffers = [self.model.buffers[index] for index in used]
        for owner in [*tensors, *metadata]:
            owner.buffer = new[owner.buffer]
        self.model.metadataBuffer = [new[index] for index in older] or None  # in files older than `metadata`

    def _prune_codes(self) -> None:
        used = sorted({operator.opcodeIndex for operator in self.operators})
        new = {old: position for position, old in enumerate(used)}
        self.model.operatorCodes = [self.model.operatorCodes[index] for index in used]
        for operator in self.operators:
            operator.opcodeIndex = new[operator.opcodeIndex]

    def drop_associated_files(self) -> None:
        """Remove the zip of associated files, which stands behind the flatbuffer."""
        self._appended = None

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        builder = _Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        flatbuffer = bytes(builder.Output())
        return flatbuffer if self._appended is None else self._appended.after(flatbuffer)


class _Builder(flatbuffers.Builder):
    def StartVector(self, elemSize, numElems, alignment):
        return super().StartVector(elemSize, numElems, max(alignment, _ALIGNMENT))


def _list(values) -> list:
    return [] if values is None else list(values)
