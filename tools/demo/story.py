"""The built-in story: seven people, forty minutes, and everybody who could be told by mistake.

Ada falls ill. Ben and Cleo were with her long enough. Cleo then met Dan for long enough, and authorises the chain.
Eve met Ada and Cleo for eight minutes each: enough only if two reports were added up. Gus met Cleo just under the rule.
Finn was with Dan only, one generation further than the authority lets the chain go.
"""

from tools.demo.contacts import Recording

PATIENT = "Ada"
RULE_MINUTES = 15
PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus")

# (who, whom, from, to) in seconds from the start
_MEETINGS = (
    ("Ada", "Cleo", 0, 1200),
    ("Ada", "Ben", 120, 1020),
    ("Ada", "Eve", 740, 1220),
    ("Cleo", "Dan", 1280, 2260),
    ("Cleo", "Eve", 1400, 1880),
    ("Cleo", "Gus", 1500, 2380),
    ("Dan", "Finn", 0, 1100),
)


def recording() -> Recording:
    """The story in the shape of a recorded contact list."""
    return Recording(
        people=PEOPLE,
        start=0,
        end=2400,
        meetings={(one, other): ((start, end),) for one, other, start, end in _MEETINGS},
    )
