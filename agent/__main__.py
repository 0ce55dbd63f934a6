"""``python -m agent`` is ``gardu``."""

import sys

from agent.cli import main

sys.exit(main())
