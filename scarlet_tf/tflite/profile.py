"""Where the time of a .tflite file goes: every operator cut out and timed as a model of its own, all interleaved.

The parts' sum is not the whole's time. Within the whole an operator finds its input in a cache and passes its output
on there, the delegate joins operators (a PAD and an activation with the convolution), and each part pays the call of
an interpreter. The profile shows which operators are worth a look.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from scarlet_tf.progress import progress
from scarlet_tf.tflite.cut import cut_operator, joins_readers, with_joined
from scarlet_tf.tflite.first_look_process import allocate
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.madds import operator_madds
from scarlet_tf.tflite.probe import probe
from scarlet_tf.tflite.runtime import TFLiteFileError, check_counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """One operator as a model of its own.

    Attributes:
        position: in the file's list of operators.
        kind: such as "DEPTHWISE_CONV_2D".
        name: of the tensor that it writes.
        inputs: shapes of the operands, constants too, those left out as ().
        output: shape of the first result.
        madds: multiply-adds, see `scarlet_tf.latency.count_madds`.
        median_ms: over the rounds.
        gmadds: 10^9 multiply-adds a second.
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
    """All operators of a kind: how many, the sum of their medians, and its share of all operators' sum."""

    kind: str
    count: int
    ms: float
    share: float
    madds: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorProfile:
    """Attributes:
    kinds: slowest first.
    operators: in the file's order; without those that a runtime computes within others or once, see `joins_readers`.
    sum_ms: of the operators' medians; more or less than the whole takes, see the module.
    """

    kinds: tuple[KindTime, ...]
    operators: tuple[OperatorTime, ...]
    sum_ms: float

    def slowest(self, count: int) -> list[OperatorTime]:
        return sorted(self.operators, key=lambda operator: -operator.median_ms)[:count]


def profile_operators(
    content: bytes, *, label: str, threads: int = 1, runs: int = 50, warmup: int = 5
) -> OperatorProfile:
    """Times every operator once a round, in turn, on what it gets when the file runs on a random input.

    Args:
        content: of the file.
        label: what messages call it, such as its path.
        runs, warmup: rounds that count, and those before them that do not.

    Raises:
        ValueError: for counts out of range.
        TFLiteFileError: for a file that cannot be run or cut, with `label`; see `probe`.
    """
    check_counts(threads=threads, runs=runs, warmup=warmup)
    whole = probe(content, label=label)
    graph = Graph(content)
    positions = [i for i, operator in enumerate(graph.operators) if not _within_others(graph, operator)]
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


def _within_others(graph: Graph, operator: schema.OperatorT) -> bool:
    return joins_readers(graph, operator) and bool(graph.consumers(operator.outputs[0]))


def _run_whole(content: bytes, inputs: Sequence[np.ndarray]) -> Interpreter:
    """An interpreter that ran the file and kept every tensor; XNNPACK would keep those between its pieces alone."""
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
    """An operator's model with its inputs set."""
    operator = graph.operators[position]
    _, inputs = with_joined(graph, operator)
    try:
        if not operator.outputs:
            raise ValueError("it has no result")
        part = Interpreter(model_content=cut_operator(content, position), num_threads=threads)
        operands = [values.get_tensor(index) for index in inputs]
        for detail, operand in zip(part.get_input_details(), operands, strict=True):
            if detail["shape"].tolist() != list(operand.shape):  # the file leaves it open, or states another
                part.resize_tensor_input(detail["index"], operand.shape)
        part.allocate_tensors()
        for detail, operand in zip(part.get_input_details(), operands, strict=True):
            part.set_tensor(detail["index"], operand)
        part.invoke()
    except (ValueError, RuntimeError) as error:
        name = graph.name(operator)
        raise TFLiteFileError(f"{label}: operator {position}, {name}, does not run by itself: {error}") from error
    return part


def _row(graph: Graph, position: int, median_ms: float) -> OperatorTime:
    operator = graph.operators[position]
    inputs = tuple(graph.shape(index) if index >= 0 else () for index in operator.inputs)
    output = graph.shape(operator.outputs[0])
    weights = inputs[1] if len(inputs) > 1 else ()
    madds = operator_madds(graph.code(operator), weights=weights, output=output)
    return OperatorTime(
        position=position,
        kind=graph.name(operator),
        name=graph.tensor_name(operator.outputs[0]),
        inputs=inputs,
        output=output,
        madds=madds,
        median_ms=median_ms,
        gmadds=1e-6 * madds / median_ms,
    )


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
