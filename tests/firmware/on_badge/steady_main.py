"""A badge whose silences around a turn are always the same."""

from badge import app

app._rest = lambda: 500
app.main()
