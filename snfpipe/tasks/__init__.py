"""doit as the driver: what is fresh, who makes the rest, and how it is shown."""
