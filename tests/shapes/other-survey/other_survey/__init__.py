"""Plans of another survey, as its own package brings them: nothing in snfpipe knows of it."""
