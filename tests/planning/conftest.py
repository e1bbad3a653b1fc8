"""Lets the tests of plans import their common example."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
