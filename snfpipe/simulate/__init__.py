"""SNIFS nights with known truth: raw frames, logs and the numbers that went into them.

Nothing here knows the reduction, nor the reduction anything of this: what one side makes and the
other measures agrees only if both read the instrument's description right.  The effects, their
formulas and what is left out stand in ``docs/simulator.md``.
"""
