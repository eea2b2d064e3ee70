"""Preprocessed frames to cubes."""
