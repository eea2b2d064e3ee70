"""What runs inside a job, and the files of an attempt: standard library only, no database."""
