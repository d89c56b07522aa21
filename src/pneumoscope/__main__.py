"""``python -m pneumoscope``, the same as the command ``pneumoscope``."""

from pneumoscope.cli.main import main

if __name__ == "__main__":
    main()
