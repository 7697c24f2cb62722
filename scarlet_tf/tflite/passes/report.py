"""What a pass did."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class PassReport:
    """One pass over one graph.

    Attributes:
        changes: places that the pass rewrote; 0: it left the graph alone.
        note: what it did, or why it did nothing.
        rounds_anew: whether the pass changes where an int8 graph rounds, so that outputs differ by such roundings.
    """

    name: str
    changes: int
    note: str
    rounds_anew: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.changes or 'nothing'}, {self.note}"
