"""Measuring what the forms of operators cost: on this machine, or in instructions on an emulated processor."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from scarlet_tf.progress import progress
from scarlet_tf.tflite.costs.table import FormCosts, runtime_version
from scarlet_tf.tflite.first_look_process import random_inputs
from scarlet_tf.tflite.forms import PLAIN, variants_of
from scarlet_tf.tflite.forms.signature import Signature, operator_file
from scarlet_tf.tflite.graph import Graph

Measure = Callable[[Sequence[bytes]], Sequence[float]]

_SECONDS = 1.0  # of timing, for the forms of one operator
_ROUNDS = (15, 300)  # fewest and most
_FILES = 60  # that are measured at once, about


def form_files(content: bytes) -> dict[str, bytes]:
    """Return a file of one operator in each of its forms, by name; "plain" is the file itself.

    Args:
        content: of a file with one operator, and perhaps a PAD in front of it or what loads its constants.
    """
    files = {PLAIN: content}
    graph = Graph(content)
    for name in variants_of(graph, graph.operators[-1]):
        graph = Graph(content)
        variants_of(graph, graph.operators[-1])[name].apply(graph, graph.operators[-1])
        graph.prune()
        files[name] = graph.to_bytes()
    return files


def measure_costs(
    signatures: Sequence[Signature], measure: Measure, *, table: FormCosts, save: Callable[[FormCosts], None]
) -> FormCosts:
    """Measure the forms of operators that a table lacks, and add them to it.

    Args:
        signatures: of the operators.
        measure: returns the cost of each of several files.
        table: to add to; what it has is not measured again.
        save: called with the table whenever costs were added to it, so that an interrupted measurement can resume.
    """
    missing = [signature for signature in dict.fromkeys(signatures) if _missing(table, signature)]
    batch: dict[str, dict[str, bytes]] = {}
    for position, signature in enumerate(progress(missing, f"costs on {table.target}", unit="operator")):
        names = _missing(table, signature)
        files = form_files(operator_file(signature))
        batch[str(signature)] = {name: content for name, content in files.items() if name in names}
        if sum(map(len, batch.values())) >= _FILES or position == len(missing) - 1:
            table = table.with_costs(_measured(batch, measure, table))
            save(table)
            batch = {}
    return table


def _missing(table: FormCosts, signature: Signature) -> set[str]:
    """Return the forms to measure: those without a cost; of times all, since they compare only within one run."""
    graph = Graph(operator_file(signature))
    names = {PLAIN, *variants_of(graph, graph.operators[-1])}
    missing = names - set(table.costs.get(str(signature), {}))
    return names if missing and table.unit == "ms" else missing


def _measured(
    batch: Mapping[str, Mapping[str, bytes]], measure: Measure, table: FormCosts
) -> dict[str, dict[str, float]]:
    costs = iter(measure([content for forms in batch.values() for content in forms.values()]))
    measured = {text: {name: next(costs) for name in forms} for text, forms in batch.items()}
    return {text: {**table.costs.get(text, {}), **costs} for text, costs in measured.items()}


def time_on_host(files: Sequence[bytes]) -> list[float]:
    """Return the median time of each file on one thread of this machine, in ms, all interleaved."""
    interpreters = [_ready(content) for content in files]
    start = time.perf_counter()
    for interpreter in interpreters:
        interpreter.invoke()
    passes = int(_SECONDS * len(files) / 10 / max(time.perf_counter() - start, 1e-6))
    rounds = int(np.clip(passes, *_ROUNDS))
    times = np.zeros((rounds, len(files)))
    for row in times:
        for column, interpreter in enumerate(interpreters):
            start = time.perf_counter()
            interpreter.invoke()
            row[column] = time.perf_counter() - start
    return [float(f"{1e3 * median:.4g}") for median in np.median(times, axis=0)]


def _ready(content: bytes) -> Interpreter:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), random_inputs(interpreter, 0), strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter


def empty_table(target: str) -> FormCosts:
    """Return a table without costs for a target that can be measured."""
    if target == "android":
        return FormCosts(target=target, unit="ms", runtime=runtime_version(), cpu="an Android device")
    if target in ("host", "x86-vnni", "x86-amx"):
        return FormCosts(target=target, unit="ms", runtime=runtime_version(), cpu=cpu_name())
    return FormCosts(target=target, unit="instructions", runtime=runtime_version(), cpu=f"{target}, emulated by QEMU")


def cpu_name() -> str:
    """Return the name of this machine's processor, with the extensions for int8 products that it has."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", facts.get("Features", "")).split()
    found = [flag for flag in ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm") if flag in flags]
    return " ".join([facts.get("model name", platform.machine()), *found])
