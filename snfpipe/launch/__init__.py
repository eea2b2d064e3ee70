"""An operator's list of units becomes jobs."""
