"""Objectives with weights, hard constraints, and the quantities they refer to (paper: Eq. 2, "Ordered Constraints").

A quantity has a name, and one value for each model. "accuracy" needs an evaluation. Cheap quantities are functions of
the genome: "madds", "params", and those that callers add, made by `from_table` from a table of layers and choices, or
by `from_specs` from a function of a model's spec.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from scarlet_tf.arch import ArchSpec, SearchSpace, count_genomes

ACCURACY = "accuracy"
QUANTITIES = (ACCURACY, "madds", "params")
DIRECTIONS = ("max", "min")
OPERATORS = ("<", ">")

# (n, num_layers) genomes -> (n,) values.
CheapQuantity = Callable[[np.ndarray], np.ndarray]


class ObjectiveError(ValueError):
    """Error for an invalid objective, constraint or quantity; the message names it and what was expected."""


def _nearest(value: str, choices: Collection[str]) -> str:
    return (
        f"expected one of {sorted(choices)}, nearest is {difflib.get_close_matches(value, choices, n=1, cutoff=0)[0]!r}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A quantity to maximise or minimise.

    Attributes:
        name: of the quantity.
        direction: "max" or "min".
        weight: weight in the crowding distance, >= 0.

    Raises:
        ObjectiveError: for an invalid value.
    """

    name: str
    direction: str
    weight: float

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ObjectiveError(f"an objective's name must be an identifier such as 'accuracy', got {self.name!r}")
        if self.direction not in DIRECTIONS:
            nearest = _nearest(self.direction, DIRECTIONS)
            raise ObjectiveError(f"objective {self.name!r}: unknown direction {self.direction!r}: {nearest}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ObjectiveError(f"objective {self.name!r}: weight must be a number >= 0, got {self.weight!r}")

    def __str__(self) -> str:
        return f"{self.name}:{self.direction}:{_exact(self.weight)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constraint:
    """A strict bound on a quantity, such as madds < 500e6.

    Attributes:
        name: of the quantity.
        op: "<" or ">".
        bound: in the quantity's unit; accuracy is in 0..1.

    Raises:
        ObjectiveError: for an invalid value.
    """

    name: str
    op: str
    bound: float

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ObjectiveError(f"a constraint's name must be an identifier such as 'madds', got {self.name!r}")
        if self.op not in OPERATORS:
            raise ObjectiveError(f"constraint on {self.name!r}: the operator must be '<' or '>', got {self.op!r}")
        if not math.isfinite(self.bound):
            raise ObjectiveError(f"constraint on {self.name!r}: the bound must be a finite number, got {self.bound!r}")
        if self.name == ACCURACY and not 0 <= self.bound <= 1:
            hint = f": did you mean '{self.name}{self.op}{_exact(self.bound / 100)}'?" if 1 < self.bound <= 100 else ""
            raise ObjectiveError(f"constraint '{self}': accuracy is a fraction, so the bound must be in 0..1{hint}")
        if (self.name, self.op, self.bound) in ((ACCURACY, ">", 1), (ACCURACY, "<", 0)):
            raise ObjectiveError(f"constraint '{self}' cannot be satisfied: accuracy is in 0..1")

    def __str__(self) -> str:
        return f"{self.name}{self.op}{_exact(self.bound)}"

    def satisfied(self, values: np.ndarray) -> np.ndarray:
        """Return which values satisfy the constraint: (n,) -> (n,) bool."""
        return values < self.bound if self.op == "<" else values > self.bound

    def closest(self, values: np.ndarray) -> float:
        """Return the value closest to satisfying the constraint, of (n,) with n >= 1."""
        return float(values.min() if self.op == "<" else values.max())


def _exact(number: float) -> str:
    """Return a short text that `float` restores exactly: archives compare settings by it."""
    short = f"{number:.12g}"
    return short if float(short) == number else repr(float(number))


# Paper: Eq. 2 and the sentence after it.
DEFAULT_OBJECTIVES = (
    Objective(name=ACCURACY, direction="max", weight=0.4),
    Objective(name="madds", direction="min", weight=0.4),
    Objective(name="params", direction="max", weight=0.2),
)
DEFAULT_CONSTRAINTS = (
    Constraint(name="madds", op="<", bound=500e6),
    Constraint(name=ACCURACY, op=">", bound=0.4),
)


def parse_objectives(text: str, *, known: Collection[str] = QUANTITIES) -> tuple[Objective, ...]:
    """Parse objectives, NAME:DIRECTION:WEIGHT separated by commas; raise ObjectiveError for an invalid one.

    Example:
        >>> parse_objectives("accuracy:max:0.4,madds:min:0.4,params:max:0.2") == DEFAULT_OBJECTIVES
        True
    """
    objectives = []
    for part in text.split(","):
        fields = part.strip().split(":")
        if len(fields) != 3:
            raise ObjectiveError(
                f"invalid objective {part.strip()!r}: expected NAME:max:WEIGHT or NAME:min:WEIGHT, such as "
                "accuracy:max:0.4"
            )
        weight = _number(fields[2], owner=f"objective {part.strip()!r}", what="weight")
        objectives.append(Objective(name=fields[0], direction=fields[1], weight=weight))
    return check_objectives(objectives, known=known)


def parse_constraints(text: str, *, known: Collection[str] = QUANTITIES) -> tuple[Constraint, ...]:
    """Parse constraints, NAME<NUMBER or NAME>NUMBER separated by commas; raise ObjectiveError for an invalid one.

    An empty text gives no constraints. Accuracy is moved to the end ("Ordered Constraints").

    Example:
        >>> parse_constraints("accuracy>0.4,madds<500e6") == DEFAULT_CONSTRAINTS
        True
    """
    constraints = []
    for part in text.split(",") if text.strip() else ():
        op = next((op for op in OPERATORS if op in part), None)
        if op is None:
            raise ObjectiveError(
                f"invalid constraint {part.strip()!r}: expected NAME<NUMBER or NAME>NUMBER, such as madds<500e6"
            )
        name, _, number = part.partition(op)
        bound = _number(number, owner=f"constraint {part.strip()!r}", what="bound")
        constraints.append(Constraint(name=name.strip(), op=op, bound=bound))
    return check_constraints(constraints, known=known)


def _number(text: str, *, owner: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ObjectiveError(f"invalid {owner}: the {what} must be a number, got {text.strip()!r}") from None


def check_objectives(objectives: Sequence[Objective], *, known: Collection[str]) -> tuple[Objective, ...]:
    """Return the objectives; raise ObjectiveError unless names are known and distinct and weights sum to 1 (Eq. 2)."""
    names = [objective.name for objective in objectives]
    for name in names:
        if name not in known:
            raise ObjectiveError(f"unknown objective {name!r}: {_nearest(name, known)}")
        if names.count(name) > 1:
            raise ObjectiveError(f"objective {name!r} is given {names.count(name)} times, expected once")
    total = sum(objective.weight for objective in objectives)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ObjectiveError(
            f"objective weights must sum to 1 (paper: Eq. 2), got {total:.12g} from {','.join(map(str, objectives))!r}"
        )
    return tuple(objectives)


def check_constraints(constraints: Sequence[Constraint], *, known: Collection[str]) -> tuple[Constraint, ...]:
    """Return the constraints, accuracy last ("Ordered Constraints"); raise ObjectiveError for an unknown name."""
    for constraint in constraints:
        if constraint.name not in known:
            raise ObjectiveError(f"unknown quantity in constraint '{constraint}': {_nearest(constraint.name, known)}")
    return tuple(sorted(constraints, key=lambda constraint: constraint.name == ACCURACY))


def cheap_quantities(space: SearchSpace) -> dict[str, CheapQuantity]:
    """Return "madds" and "params" of stand-alone models, at the space's resolution."""
    return {
        "madds": lambda genomes: count_genomes(space, genomes)[0],
        "params": lambda genomes: count_genomes(space, genomes)[1],
    }


def from_specs(space: SearchSpace, quantity: Callable[[ArchSpec], float]) -> CheapQuantity:
    """Return a quantity that is a deterministic function of the stand-alone model's spec.

    Example:
        >>> from scarlet_tf.arch import get_space
        >>> depth = from_specs(get_space("small"), lambda spec: sum(b.kind != "identity" for b in spec.blocks))
        >>> depth(np.array([[12, 1, 12, 6, 3, 8]]))
        array([4.])
    """
    return lambda genomes: np.array([quantity(space.spec(genome)) for genome in genomes.tolist()], np.float64)


def from_table(table: Sequence[Sequence[float]], *, constant: float = 0.0) -> CheapQuantity:
    """Return a quantity that is a sum over layers, such as latency.

    Args:
        table: for each layer, the contribution of each choice; layers may differ in their number of choices.
        constant: contribution of stem and tail.

    Raises:
        ValueError: if the table is not a list of numbers for each layer.

    Example:
        >>> latency = from_table([[1.0, 2.0], [3.0, 4.0]], constant=0.5)
        >>> latency(np.array([[0, 1], [1, 1]]))
        array([5.5, 6.5])
    """
    rows = [np.array(row, np.float64) for row in table]
    if not rows or any(row.ndim != 1 or not row.size for row in rows):
        raise ValueError(f"a quantity's table must have a list of numbers for every layer, got {table!r}")
    filled = np.full((len(rows), max(map(len, rows))), np.nan)
    for layer, row in enumerate(rows):
        filled[layer, : len(row)] = row
    return lambda genomes: constant + filled[np.arange(len(filled)), genomes].sum(axis=1)


def add_quantities(cheap: Mapping[str, CheapQuantity], more: Mapping[str, CheapQuantity]) -> dict[str, CheapQuantity]:
    """Return both mappings merged; raise ObjectiveError for a name that is taken or not an identifier."""
    for name in more:
        if name in (ACCURACY, *cheap) or not name.isidentifier():
            raise ObjectiveError(
                f"the name of a further quantity must be a new identifier such as 'latency_ms', got {name!r}"
            )
    return {**cheap, **more}


def measure(cheap: Mapping[str, CheapQuantity], genomes: np.ndarray) -> dict[str, np.ndarray]:
    """Return cheap quantities of (n, num_layers) genomes, (n,) each; raise ValueError unless all numbers are finite."""
    values = {name: np.asarray(quantity(genomes)) for name, quantity in cheap.items()}
    for name, column in values.items():
        if column.shape != (len(genomes),) or not np.isfinite(column).all():
            raise ValueError(f"quantity {name!r} must return {len(genomes)} finite numbers, got shape {column.shape}")
    return values


def costs(objectives: Sequence[Objective], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the (n, m) float64 costs of models, to be minimised: the values of "max" objectives change sign."""
    signs = [1.0 if objective.direction == "min" else -1.0 for objective in objectives]
    columns = [sign * values[objective.name] for sign, objective in zip(signs, objectives, strict=True)]
    return np.stack(columns, axis=1).astype(np.float64)


def weights(objectives: Sequence[Objective]) -> np.ndarray:
    """Return the objectives' weights, (m,) float64."""
    return np.array([objective.weight for objective in objectives], np.float64)


def cost_box(
    space: SearchSpace, objectives: Sequence[Objective], cheap: Mapping[str, CheapQuantity]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best and the worst corner of the costs, (m,) each, between which hypervolume is measured.

    They depend only on space and objectives, so that searches with different seeds or constraints are comparable.
    Accuracy spans 0..1. A cheap quantity spans its values over two groups of models: those with the same gene in every
    layer (or the last gene of a layer with fewer choices), and the two that combine each layer's cheapest or most
    expensive choice, found by changing that layer alone in the model of gene 0. In the paper's space, these two are all
    identity, and all K7E6 with SE.
    """
    last = np.array(space.num_choices) - 1
    alike = np.minimum(np.arange(last.max() + 1)[:, None], last)
    genomes = np.concatenate([alike, *(_extremes(space, quantity) for quantity in cheap.values())])
    values = measure(cheap, genomes)
    values[ACCURACY] = np.linspace(0, 1, len(genomes))
    corners = costs(objectives, values)
    return corners.min(axis=0), corners.max(axis=0)


def _extremes(space: SearchSpace, quantity: CheapQuantity) -> np.ndarray:
    """Return (2, num_layers) genes: each layer's cheapest and most expensive choice in the model of gene 0."""
    changed = [(layer, gene) for layer, choices in enumerate(space.num_choices) for gene in range(choices)]
    genomes = np.zeros((len(changed), space.num_layers), np.int64)
    layers, genes = np.array(changed).T
    genomes[np.arange(len(changed)), layers] = genes
    values = np.asarray(quantity(genomes))
    parts = [values[layers == layer] for layer in range(space.num_layers)]
    return np.array([[part.argmin() for part in parts], [part.argmax() for part in parts]])


def scaled_costs(
    objectives: Sequence[Objective], values: Mapping[str, np.ndarray], *, box: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return (n, m) costs in units of a `cost_box`: 0 at its best corner or beyond, 1 at its worst."""
    ideal, reference = box
    scaled = (costs(objectives, values) - ideal) / np.where(reference > ideal, reference - ideal, 1.0)
    return np.maximum(scaled, 0.0)
