"""Raw frames to preprocessed ones."""
