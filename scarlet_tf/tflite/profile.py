"""Profile of a .tflite file by operator: each is cut out and timed as a separate model, all interleaved.

The times do not add up to that of the whole model. In the whole model, an operator reads its input from a cache and
leaves its output there, and the delegate fuses operators (a PAD and an activation with the convolution); a separate
operator also pays for an interpreter call. The profile shows which operators are worth a look.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from scarlet_tf.progress import progress
from scarlet_tf.tflite.first_look_process import allocate
from scarlet_tf.tflite.graph import Graph, Op
from scarlet_tf.tflite.madds import operator_madds
from scarlet_tf.tflite.probe import probe
from scarlet_tf.tflite.runtime import TFLiteFileError, check_counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """Time of one operator, run as a separate model.

    Attributes:
        position: in the file's list of operators.
        kind: such as "DEPTHWISE_CONV_2D".
        name: of the tensor that it writes.
        inputs: shapes of the operands, constants included; () for omitted ones.
        output: shape of the first result.
        madds: multiply-adds, see `scarlet_tf.tflite.count_madds`.
        median_ms: over the rounds.
        gmadds: 10^9 multiply-adds per second.
    """

    position: int
    kind: str
    name: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    madds: int
    median_ms: float
    gmadds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindTime:
    """Totals of all operators of a kind: count, sum of their medians, its share of all operators' sum, and madds."""

    kind: str
    count: int
    ms: float
    share: float
    madds: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorProfile:
    """Times of all operators of a file.

    Attributes:
        kinds: slowest first.
        operators: in the file's order, without those that a runtime fuses or runs once, see `joins_readers`.
        sum_ms: sum of the operators' medians; not the time of the whole model, see the module.
    """

    kinds: tuple[KindTime, ...]
    operators: tuple[OperatorTime, ...]
    sum_ms: float

    def slowest(self, count: int) -> list[OperatorTime]:
        return sorted(self.operators, key=lambda operator: -operator.median_ms)[:count]


def profile_operators(
    content: bytes, *, label: str, threads: int = 1, runs: int = 50, warmup: int = 5
) -> OperatorProfile:
    """Time every operator once per round, in turn, on the values that it gets when the file runs on a random input.

    Args:
        content: of the file.
        label: name of the file in messages, such as its path.
        threads: of the interpreter.
        runs, warmup: number of measured rounds, and of unmeasured rounds before them.

    Raises:
        ValueError: for counts out of range.
        TFLiteFileError: if the file cannot be run or cut; see `probe`.
    """
    check_counts(threads=threads, runs=runs, warmup=warmup)
    whole = probe(content, label=label)
    graph = Graph(content)
    positions = own_operators(graph)
    values = _run_whole(content, whole.inputs)
    parts = [
        _open_part(content, graph, position, values, label=label, threads=threads)
        for position in progress(positions, "cut", unit="operator")
    ]
    times = np.zeros((warmup + runs, len(parts)))
    for row in progress(times, "profile", unit="round"):
        for column, part in enumerate(parts):
            start = time.perf_counter()
            part.invoke()
            row[column] = time.perf_counter() - start
    medians = 1e3 * np.median(times[warmup:], axis=0)
    return _profile([_row(graph, position, float(ms)) for position, ms in zip(positions, medians, strict=True)])


def own_operators(graph: Graph) -> list[int]:
    """Return the positions of the operators that are worth cutting out: all but those that others include."""
    return [i for i, operator in enumerate(graph.operators) if not _within_others(graph, operator)]


def _within_others(graph: Graph, operator: schema.OperatorT) -> bool:
    return joins_readers(graph, operator) and bool(graph.consumers(operator.outputs[0]))


def _run_whole(content: bytes, inputs: Sequence[np.ndarray]) -> Interpreter:
    """Run the file and return the interpreter with all tensors; XNNPACK would keep only those between partitions."""
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    allocate(interpreter)
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter


def _open_part(
    content: bytes, graph: Graph, position: int, values: Interpreter, *, label: str, threads: int
) -> Interpreter:
    """Return an interpreter of one operator's model, with its inputs set."""
    operator = graph.operators[position]
    _, inputs = with_joined(graph, operator)
    try:
        if not operator.outputs:
            raise ValueError("it has no result")
        part = Interpreter(model_content=cut_operator(content, position), num_threads=threads)
        operands = [values.get_tensor(index) for index in inputs]
        for detail, operand in zip(part.get_input_details(), operands, strict=True):
            if detail["shape"].tolist() != list(operand.shape):  # open or different in the file
                part.resize_tensor_input(detail["index"], operand.shape)
        part.allocate_tensors()
        for detail, operand in zip(part.get_input_details(), operands, strict=True):
            part.set_tensor(detail["index"], operand)
        part.invoke()
    except (ValueError, RuntimeError) as error:
        name = graph.name(operator)
        raise TFLiteFileError(f"{label}: operator {position}, {name}, cannot be run on its own: {error}") from error
    return part


def _row(graph: Graph, position: int, median_ms: float) -> OperatorTime:
    facts = describe_operator(graph, position)
    return OperatorTime(**facts, median_ms=median_ms, gmadds=1e-6 * facts["madds"] / median_ms)


def describe_operator(graph: Graph, position: int) -> dict:
    """Return "position", "kind", "name", "inputs", "output" and "madds" of an operator, as in `OperatorTime`."""
    operator = graph.operators[position]
    inputs = tuple(graph.shape(index) if index >= 0 else () for index in operator.inputs)
    output = graph.shape(operator.outputs[0])
    weights = inputs[1] if len(inputs) > 1 else ()
    return {
        "position": position,
        "kind": graph.name(operator),
        "name": graph.tensor_name(operator.outputs[0]),
        "inputs": inputs,
        "output": output,
        "madds": operator_madds(graph.code(operator), weights=weights, output=output),
    }


def _profile(operators: list[OperatorTime]) -> OperatorProfile:
    total = sum(operator.median_ms for operator in operators)
    kinds = []
    for kind in dict.fromkeys(operator.kind for operator in operators):
        own = [operator for operator in operators if operator.kind == kind]
        ms = sum(operator.median_ms for operator in own)
        madds = sum(operator.madds for operator in own)
        kinds.append(KindTime(kind=kind, count=len(own), ms=ms, share=ms / total, madds=madds))
    return OperatorProfile(
        kinds=tuple(sorted(kinds, key=lambda kind: -kind.ms)), operators=tuple(operators), sum_ms=total
    )


def cut_operator(content: bytes, position: int) -> bytes:
    """Return the operator at a position as a separate model; its operands become inputs, constants stay constants.

    A PAD in front of a convolution and operators that load its constants are included, because a runtime fuses them.
    The model's associated files are left out.
    """
    graph = Graph(content)
    graph.drop_associated_files()
    operator = graph.operators[position]
    kept, inputs = with_joined(graph, operator)
    graph.subgraph.operators = [known for known in graph.operators if any(known is one for one in kept)]
    graph.subgraph.inputs = inputs
    graph.subgraph.outputs = list(operator.outputs)
    graph.model.signatureDefs = None
    graph.prune()
    return graph.to_bytes()


def with_joined(graph: Graph, operator: schema.OperatorT) -> tuple[list[schema.OperatorT], list[int]]:
    """Return the operators that `cut_operator` keeps for one operator, and the tensors that become its inputs."""
    kept, pending, inputs = [operator], list(operator.inputs), []
    while pending:
        index = pending.pop(0)
        source = graph.producer(index)
        if source is None and index >= 0 and not graph.is_constant(index):
            inputs.append(index)
        elif source is not None and joins_readers(graph, source):
            kept.append(source)
            pending += source.inputs
        elif source is not None:
            inputs.append(index)
    return kept, list(dict.fromkeys(inputs))


def joins_readers(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether a runtime fuses the operator into its readers (PAD) or runs it once (loading a constant)."""
    if graph.code(operator) == Op.PAD:
        return True
    return graph.code(operator) == Op.DEQUANTIZE and graph.is_constant(operator.inputs[0])
