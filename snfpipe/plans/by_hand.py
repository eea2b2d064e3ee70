"""What a person entered for units, as a plan sees it: the values, why and who, never when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snfpipe.config.hand_tables import read_table
from snfpipe.declarations.rows import Scalar
from snfpipe.declarations.unit_kinds import UnitKind


def rows_by_hand(root: Path, table: str, kind: UnitKind) -> dict[str, Mapping[str, Scalar]]:
    """Return unit -> what counts of its row.

    The time of entry stands in the table only: the same value entered again changes no product.
    """
    return {
        unit: {name: value for name, value in row.items() if name != "when"}
        for unit, row in read_table(root, table, kind).items()
    }
