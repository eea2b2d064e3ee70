"""The plans: a module each, which selects the inputs of all units at once and expands them."""

from __future__ import annotations

from snfpipe.plans import cube_generation, extract_star, file_quality
from snfpipe.plans.base import Plan

#: Plan name -> module.
PLANS: dict[str, Plan] = {
    "file_quality": file_quality,
    "cube_generation": cube_generation,
    "extract_star": extract_star,
}
