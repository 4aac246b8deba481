"""How a badge shares the air between sending and listening, by name; `make bench` prints their merits.

Values for the settings of docs/protocol.md, section 4, in ms. Never sets anything; the companion does.
"""

# Where the scan interval is no near multiple of the advertising interval, adverts fall on ever other places of it, and
# none is missed for long. Window and interval alike: the receiver is always on but for the badge's own adverts.
PRESETS = {
    # name: (advertising interval, scan window, scan interval)
    "always": (250, 1000, 1000),
    "balanced": (500, 150, 1100),
    "saver": (300, 45, 1330),
    "together": (80, 1100, 60000),  # asleep between the windows, which all badges have at once: see beat.py
}
