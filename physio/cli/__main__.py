"""``python -m physio.cli``."""

from physio.cli import main

main()
