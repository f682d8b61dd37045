"""`python -m jetbridge` is the command line."""

from jetbridge.cli.main import run

run()
