"""What goes wrong around a reader, and the promises that hold all the same: docs/reliability.md."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
