"""What the presets cost a battery: a model on the datasheets' currents. No measurement, and it says so.

    python -m tools.bench --only energy

The processor waits at 80 MHz (firmware/badge/app.py). Sources, all of Espressif, at 3.3 V and 25 degrees Celsius:

- ESP32 Series Datasheet, "Power Consumption by Power Modes" and "RF Power Consumption Specifications": modem-sleep at
  80 MHz 20 to 31 mA, BT/BLE transmit at 0 dBm 130 mA, receive 95 to 100 mA.
- ESP32-S3 Series Datasheet 2.2, tables 5-8 and 5-9: modem-sleep at 80 MHz, WAITI 22.0 mA, one core at work 28.4 mA;
  Bluetooth LE transmit at 0 dBm 176 mA, receive 93 mA.
- ESP32-C3-MINI-1 Datasheet 2.2, tables 6-5 and 6-6: modem-sleep at 80 MHz, idle 13 mA, running 17 mA; Bluetooth LE
  transmit at 0 dBm 170 mA, receive 86 mA.

Between its events the Bluetooth controller sleeps only if the image was built so: ESP-IDF's default is yes for the
ESP32 (BTDM_CTRL_MODEM_SLEEP) and no for S3 and C3 (BT_CTRL_MODEM_SLEEP), which MicroPython leaves as they are. Awake it
is taken to need what receiving needs.

The preset `together` sleeps lightly, with Bluetooth off (the same datasheets: 0.8 mA, S3 0.24 mA, C3 0.13 mA), and
switches it on for each meeting; START_MS, for which it is taken to receive meanwhile, is a guess until somebody has
measured it.
"""

from dataclasses import dataclass, replace

from anontrace_shared import beat
from anontrace_shared.presets import PRESETS

from tools.bench.report import Report

CHANNELS = 3  # on which each advert is sent
ADVERT_MS = (1 + 4 + 2 + 6 + 29 + 3) * 8 / 1000  # preamble, access address, header, BLE address, data, CRC at 1 Mbit/s
LISTEN_MS = 0.3  # after each, for a connection request: inter-frame space, and as long again to notice one
X25519_MS = 410.0  # 43.7 million instructions of a plain ladder at 0.8 a cycle and 80 MHz, times 0.6
X25519_A_SLOT = 4  # address, ephemeral key, log key, and one for a challenge or a handshake
SLOT_MS = 300_000.0
MONTH = 30  # days
START_MS = 250.0  # in which Bluetooth comes up and goes down
CHALLENGE_MS = 2500.0  # awake in a slot beside its meetings, to ask a contact and be asked; half of it receiving


@dataclass(frozen=True)
class Chip:
    """Currents in mA: the processor waits, is at work, and the radio sends or receives meanwhile."""

    name: str
    idle: float
    busy: float
    send: float
    receive: float
    sleep: float

    def radio_awake(self) -> "Chip":
        """The same chip with a controller that never sleeps."""
        return replace(
            self, name=f"{self.name}, published image", idle=self.receive, busy=self.receive + self.busy - self.idle
        )


ESP32 = Chip("ESP32", 20.0, 31.0, 130.0, 97.5, 0.8)
ESP32_S3 = Chip("ESP32-S3", 22.0, 28.4, 176.0, 93.0, 0.24)
ESP32_C3 = Chip("ESP32-C3", 13.0, 17.0, 170.0, 86.0, 0.13)
CHIPS = {
    "esp32": ESP32,
    "s3": ESP32_S3.radio_awake(),
    "c3": ESP32_C3.radio_awake(),
    "s3_asleep": replace(ESP32_S3, name="ESP32-S3, own image"),
    "c3_asleep": replace(ESP32_C3, name="ESP32-C3, own image"),
}


def mean_current(advertising_ms: float, window_ms: float, scan_ms: float, chip: Chip = ESP32) -> float:
    """Mean current in mA with these settings."""
    event = CHANNELS * (ADVERT_MS * (chip.send - chip.idle) + LISTEN_MS * (chip.receive - chip.idle))
    speaking = event / (advertising_ms + 5.0)  # advDelay is 5 ms on average
    listening = window_ms / scan_ms * (chip.receive - chip.idle)
    computing = X25519_A_SLOT * X25519_MS / SLOT_MS * (chip.busy - chip.idle)
    return chip.idle + speaking + listening + computing


def together(chip: Chip = ESP32, people: int = 0) -> float:
    """Mean current in mA of a badge that sleeps between its meetings, and meets so many; nobody: it searches."""
    half = beat.half_ms(people)
    listening = 2.0 * (half + beat.GUARD_MS)
    searching = 0.0 if people else (2.0 * beat.SEARCH_MS - listening) / (beat.LONELY + 1)
    challenge = CHALLENGE_MS * beat.PERIOD_MS / SLOT_MS if people else 0.0
    receiving = START_MS + listening + searching + challenge / 2
    sent = (beat.adverts(people) + beat.TAIL_ADVERTS) * CHANNELS
    speaking = sent * (ADVERT_MS * (chip.send - chip.receive) + LISTEN_MS * (chip.receive - chip.idle))
    waiting = beat.TAIL_MS + challenge / 2
    awake = receiving * chip.receive + waiting * chip.idle + max(speaking, 0.0)
    asleep = (beat.PERIOD_MS - receiving - waiting) * chip.sleep
    computing = X25519_A_SLOT * X25519_MS / SLOT_MS * chip.busy
    return (awake + asleep) / beat.PERIOD_MS + computing


def current(name: str, chip: Chip = ESP32) -> float:
    """Mean current in mA with a preset; of `together`, of a badge that is alone or with a few, whichever is more."""
    if name == "together":
        return max(together(chip), together(chip, 1))
    return mean_current(*PRESETS[name], chip)


def days(milliamperes: float, capacity_mah: float = 1000.0) -> float:
    """How long a battery lasts."""
    return capacity_mah / milliamperes / 24


def run() -> Report:
    """Each chip with each preset: mean current, days per 1000 mAh, and the battery that lasts for a month."""
    report = Report("Battery, by a model of the chip alone")
    for key, chip in CHIPS.items():
        for name in PRESETS:
            mean = current(name, chip)
            label = f"{chip.name}, {name}"
            report.add(f"{key}_{name}_current", f"{label}: mean current", mean, "mA")
            report.add(f"{key}_{name}_days", f"{label}: days per 1000 mAh", days(mean), "")
            if name in ("saver", "together"):
                key_of_month = f"{key}_month" if name == "saver" else f"{key}_{name}_month"
                report.add(key_of_month, f"{label}: battery for {MONTH} days", MONTH * 24 * mean, "mAh")
    for people in (0, 1, 50, 500):
        mean = together(ESP32, people)
        report.add(f"together_{people}", f"ESP32, together, {people} others there: mean current", mean, "mA")
    report.remark("By the datasheets that tools/bench/energy.py names, processor at 80 MHz; nothing was measured.")
    report.remark("Own image: MicroPython built with CONFIG_BT_CTRL_MODEM_SLEEP=y, unlike the published ones.")
    return report
