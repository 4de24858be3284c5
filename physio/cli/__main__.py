"""``python -m physio.cli``."""

from physio.cli import main

if __name__ == "__main__":
    main()
