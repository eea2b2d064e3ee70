"""Jobs: from a planned unit to registered products and a manifest.

Before the engine: :mod:`planning`, :mod:`expand`, :mod:`submit`.  After it: :mod:`harvest`,
:mod:`postmortem`, :mod:`register`, :mod:`manifest`.
"""
