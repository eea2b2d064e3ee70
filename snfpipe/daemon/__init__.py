"""What serves by itself, and jobs that are no unit's: Osiris, Anubis, single jobs."""
