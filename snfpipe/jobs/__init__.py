"""Jobs: from a planned unit to registered products and a manifest.

Before the engine: :mod:`planning`, :mod:`script`, :mod:`submit`.  On the worker, standard
library only: :mod:`spec`, :mod:`ledger`, :mod:`commands`, :mod:`accountant`, :mod:`wrapper`.
After it: :mod:`postmortem`, :mod:`register`, :mod:`manifest`, :mod:`harvest`, :mod:`recover`.
"""
