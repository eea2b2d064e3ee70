"""The database: what happened, in tables (:mod:`models`), behind sessions (:mod:`session`)."""
