"""Where products live: the archive, its incoming area, and copies of it elsewhere."""
