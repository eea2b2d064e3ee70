"""The reference reduction: the programs behind the plans, on pixels.

It knows names and formats, nothing of jobs, productions or the simulator.
"""

#: Program -> the version it reports.  Results change only with a new version here.
PROGRAMS = {
    "file_quality": "1.1.0",
    "cube_generation": "1.1.0",
    "extract_star": "1.1.0",
}
