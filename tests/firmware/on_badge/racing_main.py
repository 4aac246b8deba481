"""A badge whose radio takes 40 ms from emptying an attribute to copying it, and writes come meanwhile."""

import _air
from badge import app

_air.read_window = 40000
app.main()
