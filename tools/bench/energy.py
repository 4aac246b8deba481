"""What a preset costs an ESP32's battery: a model on the datasheet's currents. No measurement, and it says so.

ESP32 Series Datasheet (Espressif), tables "Power Consumption by Power Modes" and "RF Power Consumption
Specifications": modem-sleep with two cores at 160 MHz 27 to 44 mA, BT/BLE transmit at 0 dBm 130 mA, BT/BLE receive
95 to 100 mA; all at 3.3 V and 25 degrees Celsius. The chip alone: a board's regulator and LED come on top.
"""

IDLE_MA = 27.0  # modem-sleep, the processors waiting: the lower end
BUSY_MA = 44.0  # modem-sleep, the processors at work: the upper end
SEND_MA = 130.0
RECEIVE_MA = 97.5

CHANNELS = 3  # on which each advert is sent
ADVERT_MS = (1 + 4 + 2 + 6 + 29 + 3) * 8 / 1000  # preamble, access address, header, BLE address, data, CRC at 1 Mbit/s
LISTEN_MS = 0.3  # after each, for a connection request: inter-frame space, and as long again to notice one
X25519_MS = 205.0  # 43.7 million instructions of a plain ladder at 0.8 a cycle and 160 MHz, times 0.6
X25519_A_SLOT = 4  # address, ephemeral key, log key, and one for a challenge or a handshake
SLOT_MS = 300_000.0


def mean_current(advertising_ms: float, window_ms: float, scan_ms: float) -> float:
    """Mean current in mA with these settings."""
    event = CHANNELS * (ADVERT_MS * (SEND_MA - IDLE_MA) + LISTEN_MS * (RECEIVE_MA - IDLE_MA))
    speaking = event / (advertising_ms + 5.0)  # advDelay is 5 ms on average
    listening = window_ms / scan_ms * (RECEIVE_MA - IDLE_MA)
    computing = X25519_A_SLOT * X25519_MS / SLOT_MS * (BUSY_MA - IDLE_MA)
    return IDLE_MA + speaking + listening + computing


def days(milliamperes: float, capacity_mah: float = 1000.0) -> float:
    """How long a battery lasts."""
    return capacity_mah / milliamperes / 24
