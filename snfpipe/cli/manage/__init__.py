"""manage_jobs: list, validate, delete, restore."""
