"""What MicroPython runs after boot: starts the badge. Everything else is in the package `badge`."""

from badge import app

app.main()
