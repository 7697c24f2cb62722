"""Costs of .tflite files in instructions of emulated processors: whole files, and operators one by one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

from scarlet_tf.choices import check_known
from scarlet_tf.files import write_atomically
from scarlet_tf.latency.emulator import CPUS, count_instructions, read_versions
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.madds import count_madds
from scarlet_tf.tflite.probe import probe
from scarlet_tf.tflite.profile import cut_operator, describe_operator, own_operators
from scarlet_tf.tflite.runtime import TFLiteFileError, open_interpreter, partition_count


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstructionCost:
    """Instructions of one inference of a file on one processor.

    Attributes:
        cpu: a name in `CPUS`.
        instructions: see `count_instructions`.
        madds: multiply-adds, see `count_madds`.
        per_madd: instructions per multiply-add; None for a file without multiply-adds.
        ratio: instructions / those of the first file on the same processor.
        partitions: pieces that the XNNPACK delegate runs; operations between them run one by one.
    """

    path: str
    cpu: str
    instructions: int
    madds: int
    per_madd: float | None
    ratio: float
    partitions: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorInstructions:
    """Instructions of one operator, run as a separate model; the other fields are those of `OperatorTime`."""

    position: int
    kind: str
    name: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    madds: int
    instructions: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindInstructions:
    """Totals of all operators of a kind: count, instructions, their share of all operators', and madds."""

    kind: str
    count: int
    instructions: int
    share: float
    madds: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstructionProfile:
    """Instructions of all operators of a file on one processor.

    Attributes:
        kinds: costliest first.
        operators: in the file's order, without those that a runtime fuses or runs once, see `joins_readers`.
        instructions: sum over the operators. Some 5,000 of each operator's are the call of the interpreter.
    """

    cpu: str
    kinds: tuple[KindInstructions, ...]
    operators: tuple[OperatorInstructions, ...]
    instructions: int

    def costliest(self, count: int) -> list[OperatorInstructions]:
        return sorted(self.operators, key=lambda operator: -operator.instructions)[:count]


def measure_instructions(
    paths: Sequence[str | os.PathLike], *, cpus: Sequence[str] = ("cortex-a76",), seed: int = 0
) -> list[InstructionCost]:
    """Count the instructions of .tflite files on emulated processors.

    Args:
        paths: .tflite files; ratios are relative to the first.
        cpus: names in `CPUS`.
        seed: of the random inputs.

    Returns:
        One cost per processor and file: all files on the first processor, then on the next.

    Raises:
        ValueError: if there are no files, or for an unknown processor; TFLiteFileError for a damaged file.
        EmulatorError: as `count_instructions`.
        FileNotFoundError: if a file is missing.

    Example:
        >>> for cost in measure_instructions(["a.tflite", "b.tflite"], cpus=["cortex-a76"]):  # doctest: +SKIP
        ...     print(cost.path, cost.instructions, f"{cost.ratio:.3f}")
    """
    if not paths:
        raise ValueError("no .tflite files to measure")
    for cpu in cpus:
        check_known("cpu", cpu, CPUS)
    facts = [(os.fspath(path), count_madds(path), partition_count(open_interpreter(path))) for path in paths]
    costs = []
    for cpu in cpus:
        counts = count_instructions(paths, cpu=cpu, seed=seed)
        costs += [
            InstructionCost(
                path=path,
                cpu=cpu,
                instructions=count,
                madds=madds,
                per_madd=count / madds if madds else None,
                ratio=count / counts[0],
                partitions=partitions,
            )
            for (path, madds, partitions), count in zip(facts, counts, strict=True)
        ]
    return costs


def profile_instructions(content: bytes, *, label: str, cpu: str = "cortex-a76", seed: int = 0) -> InstructionProfile:
    """Count the instructions of every operator of a .tflite file, each cut out as a model of its own.

    Their sum differs from the whole file's: each pays for a call of the interpreter, and a delegate may fuse operators.
    All run in one start of QEMU.

    Args:
        content: of the file.
        label: name of the file in messages, such as its path.
        cpu: a name in `CPUS`.
        seed: of the operators' random inputs.

    Raises:
        TFLiteFileError: if the file cannot be run or cut; see `probe`.
        EmulatorError: as `count_instructions`; the message names the operator that cannot be run on its own.
        ValueError: for an unknown processor.
    """
    check_known("cpu", cpu, CPUS)
    probe(content, label=label)
    graph = Graph(content)
    positions = own_operators(graph)
    for position in positions:
        if not graph.operators[position].outputs:
            raise TFLiteFileError(f"{label}: operator {position} has no result: it cannot be run on its own")
    facts = [describe_operator(graph, position) for position in positions]
    labels = [f"{label}, operator {fact['position']} ({fact['kind']}) on its own" for fact in facts]
    parts = [cut_operator(content, position) for position in positions]
    counts = count_instructions(parts, cpu=cpu, seed=seed, labels=labels)
    operators = [OperatorInstructions(**fact, instructions=count) for fact, count in zip(facts, counts, strict=True)]
    return InstructionProfile(cpu=cpu, kinds=_by_kind(operators), operators=tuple(operators), instructions=sum(counts))


def _by_kind(operators: Sequence[OperatorInstructions]) -> tuple[KindInstructions, ...]:
    total = sum(operator.instructions for operator in operators)
    kinds = []
    for kind in dict.fromkeys(operator.kind for operator in operators):
        own = [operator for operator in operators if operator.kind == kind]
        instructions = sum(operator.instructions for operator in own)
        kinds.append(
            KindInstructions(
                kind=kind,
                count=len(own),
                instructions=instructions,
                share=instructions / total,
                madds=sum(operator.madds for operator in own),
            )
        )
    return tuple(sorted(kinds, key=lambda kind: -kind.instructions))


def save_instructions(
    costs: Sequence[InstructionCost],
    path: str | os.PathLike,
    *,
    seed: int,
    profiles: Mapping[tuple[str, str], InstructionProfile] | None = None,
    failures: Mapping[str, str] | None = None,
) -> None:
    """Write costs as a JSON object, atomically: the emulator's versions, the seed, and one entry per cost.

    Args:
        costs: of `measure_instructions`.
        path: of the JSON file.
        seed: that `measure_instructions` was given.
        profiles: by path and processor, for the key "profile" of an entry; null without one.
        failures: by path, as `find_failures` returns them, for the key "failures".
    """
    profiles = {key: dataclasses.asdict(profile) for key, profile in (profiles or {}).items()}
    content = {
        "versions": read_versions(),
        "seed": seed,
        "costs": [dataclasses.asdict(cost) | {"profile": profiles.get((cost.path, cost.cpu))} for cost in costs],
        "failures": dict(failures or {}),
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n")
