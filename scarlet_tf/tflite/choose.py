"""Choice of a form for every operator of a file: the cheapest on the targets, within a bound on the file's growth."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.costs import FormCosts, estimate_costs
from scarlet_tf.tflite.forms import PLAIN, Variant, variants_of
from scarlet_tf.tflite.forms.signature import Signature, signature_of
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.profile import cut_operator

_WORTH = 0.95  # of the plain form's cost, on the worst target: the least gain that is worth larger weights
_CARE = 4  # weight of what a form costs too much on the first of several targets, against what it does on others
_MILLIONS = 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """Operators of one signature that were rewritten in one form.

    Attributes:
        signature: of the operators.
        form: name of the variant.
        changes: number of operators.
        growth: bytes by which each makes the file larger.
        costs: by target, an operator's cost in the plain form and in this one.
        units: of the costs, by target.
        estimated: targets whose costs come from another shape, see `estimate_costs`.
        rounds_anew: whether int8 results are rounded at other points than before.
    """

    signature: Signature
    form: str
    changes: int
    growth: int
    costs: Mapping[str, tuple[float, float]]
    units: Mapping[str, str]
    estimated: frozenset[str]
    rounds_anew: bool

    def __str__(self) -> str:
        times = f"{self.changes} x " if self.changes > 1 else ""
        gains = ", ".join(
            _gain(f"{target} about" if target in self.estimated else target, *costs, self.units[target])
            for target, costs in self.costs.items()
        )
        return f"{times}{self.signature.describe()}: {self.form}; {gains}; {self.growth:+,} bytes"


def _gain(target: str, before: float, after: float, unit: str) -> str:
    if unit == "instructions":
        before, after, unit = before / _MILLIONS, after / _MILLIONS, "M instructions"
    return f"{target} {before:.3g} -> {after:.3g} {unit}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """An operator that has other forms.

    Attributes:
        operator: of the graph.
        position: in the graph's list of operators.
        signature: of the operator.
        variants: its other forms, by name.
    """

    operator: schema.OperatorT
    position: int
    signature: Signature
    variants: Mapping[str, Variant]

    @property
    def kind(self) -> tuple[Signature, tuple[str, ...]]:
        """What it has in common with others of which the same form is best: signature and names of the variants."""
        return self.signature, tuple(self.variants)


def find_candidates(graph: Graph) -> list[Candidate]:
    """Return the operators of a graph that have other forms."""
    found = []
    for position, operator in enumerate(graph.operators):
        variants, signature = variants_of(graph, operator), signature_of(graph, operator)
        if variants and signature is not None:
            found.append(Candidate(operator=operator, position=position, signature=signature, variants=variants))
    return found


def rewrite_operators(
    content: bytes, tables: Mapping[str, FormCosts], *, max_growth: float | None = None
) -> tuple[bytes, tuple[Choice, ...]]:
    """Rewrite every operator in the form that costs least on the worst of the targets.

    A form counts by its cost relative to the cheapest on each target, and of these ratios by the largest. What it costs
    more than the cheapest on the first of several targets, the slowest devices, counts 4 times. The file costs no more
    than the plain one on any target. Where it may not grow as much as all of these forms would make it, those come
    first that save the largest share of the cost per byte.

    Args:
        content: of a file that `probe` has accepted or a converter has written.
        tables: the costs on each target, by its name; the slowest first.
        max_growth: bound of the new file's size, as a multiple of the old; None for no bound.

    Returns:
        The new file's content, unchanged if no form is better, and what was chosen.
    """
    graph = Graph(content)
    candidates = find_candidates(graph)
    options = _options(content, candidates, tables)
    room = None if max_growth is None else int((max_growth - 1) * len(content))
    own = [options[candidate.kind] for candidate in candidates]
    chosen = _not_slower(_select(own, room=room), own)
    groups = collections.Counter()
    for candidate, option in zip(candidates, chosen, strict=True):
        if option.name != PLAIN:
            candidate.variants[option.name].apply(graph, candidate.operator)
            groups[candidate.kind, option] += 1
    if not groups:
        return content, ()
    graph.prune()
    units = {target: table.unit for target, table in tables.items()}
    variants = {candidate.kind: candidate.variants for candidate in candidates}
    return graph.to_bytes(), tuple(
        Choice(
            signature=signature,
            form=option.name,
            changes=count,
            growth=option.growth,
            costs=dict(option.costs),
            units=units,
            estimated=frozenset(target for target, table in tables.items() if str(signature) not in table.costs),
            rounds_anew=variants[signature, names][option.name].rounds_anew,
        )
        for ((signature, names), option), count in groups.items()
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Option:
    """One form of an operator; `loss` is its cost over the cheapest on the worst target, as a share of the file's."""

    name: str
    growth: int
    loss: float
    costs: tuple[tuple[str, tuple[float, float]], ...] = ()


def _options(
    content: bytes, candidates: Sequence[Candidate], tables: Mapping[str, FormCosts]
) -> dict[tuple[Signature, tuple[str, ...]], list[_Option]]:
    """Return the forms of each kind of operator, plain first, of which one is chosen."""
    counts = collections.Counter(candidate.kind for candidate in candidates)
    first = {candidate.kind: candidate for candidate in reversed(candidates)}
    costs = {kind: _costs(tables, first[kind]) for kind in counts}
    plain = {target: sum(n * costs[k].get(target, {}).get(PLAIN, 0.0) for k, n in counts.items()) for target in tables}
    options = {}
    for kind, candidate in first.items():
        options[kind] = _forms(costs[kind], plain)
        if len(options[kind]) > 1:
            options[kind] = _with_growth(cut_operator(content, candidate.position), options[kind])
    return options


def _forms(costs: Mapping[str, Mapping[str, float]], plain: Mapping[str, float]) -> list[_Option]:
    """Return the plain form and those that are worth choosing.

    Args:
        costs: of the forms of one operator, by target; {} if they are not known.
        plain: cost of all operators that have other forms, by target.
    """
    if not costs:
        return [_Option(name=PLAIN, growth=0, loss=0.0)]
    names = list(next(iter(costs.values())))
    best = {target: min(forms.values()) for target, forms in costs.items()}
    weight = statistics.mean(best[target] / plain[target] for target in costs)
    options = []
    for name in names:
        ratios = [forms[name] / best[target] for target, forms in costs.items()]
        care = _CARE if len(ratios) > 1 else 1
        loss = weight * max(1 + care * (ratios[0] - 1), *ratios)
        before_after = tuple((target, (forms[PLAIN], forms[name])) for target, forms in costs.items())
        options.append(_Option(name=name, growth=0, loss=loss, costs=before_after))
    return [option for option in options if option.name == PLAIN or option.loss <= _WORTH * options[0].loss]


def _costs(tables: Mapping[str, FormCosts], candidate: Candidate) -> dict[str, dict[str, float]]:
    """Return costs by target and form, of the forms with a cost on every target; {} if a target's are not known."""
    found = {target: estimate_costs(table, candidate.signature, candidate.variants) for target, table in tables.items()}
    if not all(found.values()):
        return {}
    known = [PLAIN, *(name for name in candidate.variants if all(name in costs for costs in found.values()))]
    return {target: {name: costs[name] for name in known} for target, costs in found.items()}


def _with_growth(content: bytes, options: Sequence[_Option]) -> list[_Option]:
    """Return the options with the bytes by which they make a file larger that holds the operator alone."""
    made = []
    for option in options:
        graph = Graph(content)
        operator = graph.operators[-1]
        if option.name != PLAIN:
            variants_of(graph, operator)[option.name].apply(graph, operator)
            graph.prune()
        made.append(dataclasses.replace(option, growth=len(graph.to_bytes()) - len(content)))
    return made


def _select(options: Sequence[Sequence[_Option]], *, room: int | None) -> list[_Option]:
    """Return one option for each operator: the least loss, or the best that fits into so many bytes, greedily."""
    if room is None:
        return [min(forms, key=lambda option: (option.loss, option.growth)) for forms in options]
    chosen = [min(forms, key=lambda option: (option.growth > 0, option.loss)) for forms in options]
    room -= sum(option.growth for option in chosen)
    steps = []
    for position, forms in enumerate(options):
        for rank, (gain, option) in enumerate(_steps(chosen[position], forms)):
            steps.append((-gain, position, rank, option))
    closed = set()
    for _, position, _, option in sorted(steps, key=lambda step: step[:3]):
        added = option.growth - chosen[position].growth
        if position in closed or added > room:
            closed.add(position)
            continue
        chosen[position] = option
        room -= added
    return chosen


def _not_slower(chosen: Sequence[_Option], options: Sequence[Sequence[_Option]]) -> list[_Option]:
    """Return the choice without the forms that make the file slower than the plain one on a target.

    The form that adds most to the cost there gives way to one that adds nothing on any target.
    """
    chosen = list(chosen)
    for target in dict.fromkeys(target for option in chosen for target, _ in option.costs):
        while sum(_added(option, target) for option in chosen) > 0:
            worst = max(range(len(chosen)), key=lambda position: _added(chosen[position], target))
            harmless = [
                option for option in options[worst] if all(after <= before for _, (before, after) in option.costs)
            ]
            chosen[worst] = min(harmless, key=lambda option: option.loss)
    return chosen


def _added(option: _Option, target: str) -> float:
    before, after = dict(option.costs).get(target, (0.0, 0.0))
    return after - before


def _steps(start: _Option, forms: Sequence[_Option]) -> list[tuple[float, _Option]]:
    """Return options that save loss by more bytes, with the loss saved per byte: the lower convex hull from `start`."""
    steps, current = [], start
    while True:
        better = [form for form in forms if form.loss < current.loss and form.growth > current.growth]
        if not better:
            return steps
        here = current
        best = max(better, key=lambda form: (here.loss - form.loss) / (form.growth - here.growth))
        steps.append(((current.loss - best.loss) / (best.growth - current.growth), best))
        current = best
