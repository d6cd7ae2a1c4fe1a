"""``python -m deodar`` is the command ``deodar``."""

from deodar.cli import main

if __name__ == "__main__":
    main()
