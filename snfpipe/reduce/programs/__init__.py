"""The commands behind the programs."""
