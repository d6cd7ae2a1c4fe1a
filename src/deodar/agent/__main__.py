"""``python -m deodar.agent --dir DIR``: the running agent; see `deodar.agent.start`."""

from __future__ import annotations

import sys

from deodar.agent.start import main

if __name__ == "__main__":
    sys.exit(main())
