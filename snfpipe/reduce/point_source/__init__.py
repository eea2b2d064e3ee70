"""Cubes to the spectrum of a point source."""
