# Whether a new address is taken, refused, or not taken and nothing said of it: idle, advertising and scanning.
switch_on()


def tried():
    before = ble.config("mac")
    try:
        ble.config(addr_mode=3)
    except OSError as error:
        return f"refused ({error.errno})"
    return "taken" if ble.config("mac") != before else "kept, not said"


found = {"idle": tried()}
ble.gap_advertise(100000, adv_data=advert(0))
found["advertising"] = tried()
ble.gap_advertise(None)
ble.gap_scan(0, 30000, 30000)
found["scanning"] = tried()
ble.gap_scan(None)
found["again"] = tried()
say(**found)
