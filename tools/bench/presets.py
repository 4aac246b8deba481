"""What each preset detects and what it costs: the models of detection.py and energy.py.

python -m tools.bench --only presets
"""

from anontrace_shared import beat
from anontrace_shared.presets import PRESETS

from tools.bench import detection, energy
from tools.bench.report import Report

TRIALS = 2000
MINUTES = (5, 10, 15)
LOSS = 0.5  # of all adverts, in a pocket behind a body


def run() -> Report:
    """Per preset: probability of detection by length of contact, mean current, days per 1000 mAh."""
    report = Report("Presets")
    for name, preset in PRESETS.items():
        if preset[2] == beat.PERIOD_MS:
            continue  # it has a model of its own: --only meetings
        settings = "{}/{}/{} ms".format(*preset)
        for loss, what in ((0.0, ""), (LOSS, ", half of the adverts lost")):
            suffix = "_lossy" if loss else ""
            for minutes in MINUTES:
                found = detection.probability(preset, minutes, TRIALS // (10 if preset[1] == preset[2] else 1), loss)
                report.add(f"{name}_{minutes}min{suffix}", f"{name}: {minutes} min contact{what}", 100 * found, "%")
            covered = detection.coverage(preset, TRIALS, loss)
            report.add(f"{name}_coverage{suffix}", f"{name}: its thirds of a minute heard{what}", 100 * covered, "%")
        current = energy.current(name)
        report.add(f"{name}_current", f"{name}: mean current ({settings})", current, "mA")
        report.add(f"{name}_days", f"{name}: days per 1000 mAh", energy.days(current), "")
    current = energy.current("together")
    report.add("together_current", "together: mean current", current, "mA")
    report.add("together_days", "together: days per 1000 mAh", energy.days(current), "")
    report.remark("What `together` hears: --only meetings.")
    report.remark("Current: an ESP32 by its datasheet, not measured; the model and other chips: --only energy.")
    report.remark("Settings: advertising interval / scan window / scan interval.")
    return report
