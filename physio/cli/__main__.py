"""``python -m physio.cli``."""

from physio.__main__ import main

if __name__ == "__main__":
    main()
