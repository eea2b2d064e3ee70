"""A survey as unit kinds see it, made of runs alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

NIGHTS = st.builds(lambda year, day: f"{year:02}_{day:03}", st.integers(0, 99), st.integers(1, 365))
_TARGETS = st.sampled_from(["GD71", "SNF20061129-003", "PTF09dlc", "BD+17d4708"])


@dataclass(frozen=True)
class Observations:
    """Runs, each a night and its target, and hand-written lists."""

    runs: Sequence[tuple[str, str]]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: st.DataObject) -> Observations:
        """Draw a small survey, of nights that may be close together."""
        year = data.draw(st.integers(0, 98))
        days = st.integers(300, 430)
        night = days.map(lambda day: f"{year + day // 366:02}_{(day - 1) % 365 + 1:03}")
        return cls(data.draw(st.lists(st.tuples(night, _TARGETS), min_size=1, max_size=12)))

    @property
    def nights(self) -> Sequence[str]:
        """All nights with a run, in order."""
        return sorted({night for night, _target in self.runs})

    @property
    def nights_of(self) -> Mapping[str, Sequence[str]]:
        """Target -> its nights, in order."""
        return {
            target: sorted({night for night, other in self.runs if other == target})
            for target in sorted({target for _night, target in self.runs})
        }

    @property
    def targets_of(self) -> Mapping[str, Sequence[str]]:
        """Night -> its targets."""
        return {
            night: sorted({target for other, target in self.runs if other == night})
            for night in self.nights
        }

    @property
    def named_by(self) -> Mapping[str, str]:
        """Target -> the night of its first run."""
        return {target: nights[0] for target, nights in self.nights_of.items()}

    def listed(self, name: str) -> Sequence[str]:
        """Return the lines of a list."""
        return self.lists[name]
