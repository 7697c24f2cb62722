"""Constrained, weighted multi-objective search over genomes, in NumPy and SQLite. Never imports TensorFlow."""

from scarlet_tf.search.archive import ArchiveError
from scarlet_tf.search.constrained import Patience, SearchStalledError
from scarlet_tf.search.controller import ControllerConfig, ReinforcedMutation
from scarlet_tf.search.evaluator import Evaluator
from scarlet_tf.search.history import SearchHistory, evaluated_models, search_history
from scarlet_tf.search.nsga2 import Search, SearchConfig
from scarlet_tf.search.objectives import (
    DEFAULT_CONSTRAINTS,
    DEFAULT_OBJECTIVES,
    CheapQuantity,
    Constraint,
    Objective,
    ObjectiveError,
    from_specs,
    from_table,
    parse_constraints,
    parse_objectives,
)
from scarlet_tf.search.operators import (
    MutationMixture,
    Mutator,
    Parents,
    RandomMutation,
    RouletteMutation,
    parse_mutation,
)
from scarlet_tf.search.records import Members, Models, Summary
from scarlet_tf.search.tables import CostQuantity, QuantityTable, parse_quantities, read_table

__all__ = [
    "DEFAULT_CONSTRAINTS",
    "DEFAULT_OBJECTIVES",
    "ArchiveError",
    "CheapQuantity",
    "Constraint",
    "ControllerConfig",
    "CostQuantity",
    "Evaluator",
    "Members",
    "Models",
    "MutationMixture",
    "Mutator",
    "Objective",
    "ObjectiveError",
    "Parents",
    "Patience",
    "QuantityTable",
    "RandomMutation",
    "ReinforcedMutation",
    "RouletteMutation",
    "Search",
    "SearchConfig",
    "SearchHistory",
    "SearchStalledError",
    "Summary",
    "evaluated_models",
    "from_specs",
    "from_table",
    "parse_constraints",
    "parse_mutation",
    "parse_objectives",
    "parse_quantities",
    "read_table",
    "search_history",
]
