"""Ingest: raw nights in a folder become rows, before there is any task.

:mod:`scan` says what is new; :mod:`frames` reads a frame, with :mod:`cards`, :mod:`diagnose` and
:mod:`identity` for its header; :mod:`logs` reads the tables.  :mod:`observed` says what all of it
means, :mod:`compare` what disagrees or is missing; :mod:`fill` writes a night's rows,
:mod:`refresh` does it all, and :mod:`standing` tells what is the matter now.
"""
