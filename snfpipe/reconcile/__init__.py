"""The archive against the database, and repairs of what differs."""
