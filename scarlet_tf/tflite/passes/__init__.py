"""Rewriting passes over a .tflite graph, a file each, and the report that each returns."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class PassReport:
    """Report of one pass over a graph.

    Attributes:
        name: of the pass.
        changes: number of places that the pass rewrote; 0 if it left the graph unchanged.
        note: what it did, or why it did nothing.
        rounds_anew: whether the pass changes where an int8 graph rounds, so that outputs differ by rounding.
    """

    name: str
    changes: int
    note: str
    rounds_anew: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.changes or 'nothing'}, {self.note}"
