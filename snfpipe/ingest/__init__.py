"""Ingest: raw nights in a folder become rows, before there is any task.

:mod:`scan` says what is new, :mod:`frames` reads one frame, :mod:`logs` the observing log and the
target list, :mod:`fill` writes a night's rows, :mod:`refresh` does it all.
"""
