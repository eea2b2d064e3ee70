"""``python -m snfpipe``: the command ``snf``, for jobs that start a program by its module."""

from snfpipe.cli.main import main

main()
