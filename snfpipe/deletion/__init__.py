"""Jobs and products are deleted, kept in the trash, restored and purged."""
