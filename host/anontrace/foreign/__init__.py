"""Limits on what others made, before it is looked at: HTTP answers, small files, text. For companion and servers."""

import sys
from typing import Any

# httpx loads a command line of its own, with all that it draws with, if it can be loaded. Neither program has a use for
# it, and it takes a tenth of the start of a process.
_modules: dict[str, Any] = sys.modules
_modules.setdefault("httpx._main", None)
