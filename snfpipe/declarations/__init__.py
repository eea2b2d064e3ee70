"""What a plan says of itself: unit kinds, what it reads and writes, and the rows it is shown.

Plain values and pure functions over them: no database, no files, the standard library only.
:mod:`~snfpipe.plans` makes selections of it, :mod:`~snfpipe.units` the graph.
"""
