"""How a benchmark measures and ends, on whatever machine it runs.

Seconds say as much of the machine and its other work as of the code, so that no limit is one of
seconds.  Ours and a reference run in turns; each turn gives a ratio, and their median is held
against the limit: what disturbs one turn, or slows both sides of it, changes nothing.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field


@dataclass
class Turns:
    """What ours and the reference took, turn by turn, in the same unit."""

    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)

    def add(self, ours: float, reference: float) -> None:
        """Add a turn."""
        self.ours.append(ours)
        self.reference.append(reference)

    @property
    def ratio(self) -> float:
        """The median of the turns' ratios, ours to the reference."""
        pairs = zip(self.ours, self.reference, strict=True)
        return statistics.median(ours / reference for ours, reference in pairs)


def end(
    benchmark: str, turns: Turns, limit: float, *, holds: bool = True, **more: float | list[float]
) -> int:
    """Print a benchmark's last line, a JSON object; return its exit status.

    Parameters
    ----------
    benchmark : str
        Its name.
    turns : Turns
        What was measured, in seconds.
    limit : float
        Of the ratio.
    holds : bool
        Whether everything else that the benchmark holds was as it should be.
    **more
        Further figures to print.
    """
    print(
        json.dumps(
            {
                "benchmark": benchmark,
                "ours": round(statistics.median(turns.ours), 3),
                "reference": round(statistics.median(turns.reference), 3),
                "unit": "s",
                "ratio": round(turns.ratio, 4),
                "limit": limit,
                **more,
            }
        )
    )
    return int(turns.ratio > limit or not holds)
