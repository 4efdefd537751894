"""`python -m dial_core.cli`: the `dial` command where no script is installed."""

from dial_core.cli import main

main()
