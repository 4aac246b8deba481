"""The virtual radio: Bumble's controllers and link, with range and signal strength per pair, airtime, and duty cycles.

Everything with a duration is on the virtual clock. Knows nothing about MicroPython or companions: a host, Bumble's own
or one at the other end of an HCI transport, is attached to each Radio.
"""

import dataclasses
import random
from collections.abc import Callable
from functools import partial

from bumble import core, hci, ll, lmp
from bumble.controller import Connection, Controller, LegacyAdvertiser
from bumble.link import LocalLink

from tools.simulator.clock import Clock, Timer

_UNIT = 625  # microseconds: unit of advertising and scan intervals
_CONNECTION_UNIT = 1250  # microseconds: unit of connection intervals
_ADV_DELAY = 10_000  # microseconds: upper end of the random delay added to each advertising interval
_SUPERVISION = 4_000_000  # microseconds after which a link out of range is lost
_AdvertisingType = hci.HCI_LE_Set_Advertising_Parameters_Command.AdvertisingType
_ADV_IND = int(_AdvertisingType.ADV_IND)
_ADV_SCAN_IND = int(_AdvertisingType.ADV_SCAN_IND)
_SCAN_RSP = 4
_ACL_DATA = 251  # bytes of one packet, on the air and between controller and host


@dataclasses.dataclass(frozen=True, slots=True)
class Advert:
    """One advertising PDU as it is on the air: `kind` 0 ADV_IND, 2 ADV_SCAN_IND, 3 ADV_NONCONN_IND, 4 SCAN_RSP."""

    kind: int
    address: hci.Address
    data: bytes


def airtime(size: int) -> int:
    """Microseconds for `size` bytes of L2CAP on the 1 Mbit/s PHY, in packets, with their acknowledgements."""
    packets = max(1, -(-size // _ACL_DATA))
    return packets * (80 + 150 + 80 + 150) + (size + 4 * packets) * 8


class Ether(LocalLink):
    """The air that all radios share."""

    controllers: "set[Radio]"  # type: ignore[assignment]

    def __init__(self, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.clock = clock
        self.sniffers: list[Callable[[Radio, Advert], None]] = []
        self.loss = 0.0  # the share of adverts that does not reach a receiver

    def unheard(self, sender: "Radio") -> bool:
        """True while nobody is there whom an advert of `sender` could reach; Radio.noticed() tells when that ends."""
        return not sender.neighbours and not self.sniffers

    def advertise(self, sender: "Radio", advert: Advert, response: bytes) -> None:
        """Send one advertising event on its three channels to whoever is in range and listens."""
        for sniffer in self.sniffers:
            sniffer(sender, advert)
        for radio, rssi in list(sender.neighbours.items()):
            if self.loss and radio.random.random() < self.loss:
                continue
            radio.hear(sender, advert, response, rssi)

    def connect(self, central: "Radio", peripheral: "Radio", request: hci.HCI_LE_Create_Connection_Command) -> None:
        """Make both ends of a connection from `central`, which heard `peripheral`, and tell both hosts."""
        own = (
            central.public_address if request.own_address_type == hci.OwnAddressType.PUBLIC else central.random_address
        )
        advertiser = peripheral.le_legacy_advertiser
        interval = max(6, request.connection_interval_min)
        ends = []
        for radio, role, mine, other in (
            (central, hci.Role.CENTRAL, own, advertiser.address),
            (peripheral, hci.Role.PERIPHERAL, advertiser.address, own),
        ):
            end = Link(
                controller=radio,
                handle=radio.allocate_connection_handle(),
                role=role,
                self_address=mine,
                peer_address=other,
                link=self,
                transport=core.PhysicalTransport.LE,
                link_type=hci.HCI_Connection_Complete_Event.LinkType.ACL,
                began=self.clock.now,
                interval=interval * _CONNECTION_UNIT,
            )
            radio.le_connections[other] = end
            ends.append(end)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        central.pending_le_connection = None
        advertiser.stop()
        for end in reversed(ends):
            end.radio.send_hci_packet(
                hci.HCI_LE_Connection_Complete_Event(
                    status=hci.HCI_ErrorCode.SUCCESS,
                    connection_handle=end.handle,
                    role=end.role,
                    peer_address_type=end.peer_address.address_type,
                    peer_address=end.peer_address,
                    connection_interval=interval,
                    peripheral_latency=request.max_latency,
                    supervision_timeout=request.supervision_timeout,
                    central_clock_accuracy=0,
                )
            )
            if end.radio.on_link:
                end.radio.on_link(1)

    def transmit(self, end: "Link", pdu: bytes, packets: int) -> None:
        """Carry an L2CAP PDU to the other end at the next connection event; only then are its buffers free."""
        self.clock.at(end.claim(self.clock.now, airtime(len(pdu))), partial(self._deliver, end, pdu, packets))

    def _deliver(self, end: "Link", pdu: bytes, packets: int) -> None:
        peer = end.peer
        if not end.alive or peer is None or peer.radio not in end.radio.neighbours:
            return
        end.radio.send_hci_packet(
            hci.HCI_Number_Of_Completed_Packets_Event(connection_handles=[end.handle], num_completed_packets=[packets])
        )
        if end.radio.on_sent:
            end.radio.on_sent(end.handle, pdu)
        for at in range(0, len(pdu), _ACL_DATA):
            piece = pdu[at : at + _ACL_DATA]
            flag = hci.HCI_ACL_PB_CONTINUATION if at else hci.HCI_ACL_PB_FIRST_FLUSHABLE
            peer.radio.send_hci_packet(hci.HCI_AclDataPacket(peer.handle, flag, 0, len(piece), piece))

    def hang_up(self, end: "Link", reason: int) -> None:
        """One end's host disconnects: what is under way still arrives, then both are told."""
        local = hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR
        self.clock.at(end.claim(self.clock.now, airtime(4)), partial(self.drop, end, local, reason))

    def drop(self, end: "Link", reason: int, peer_reason: int) -> None:
        """End a connection now and tell both hosts."""
        for one, why in ((end, reason), (end.peer, peer_reason)):
            if one is not None and one.alive:
                one.alive = False
                one.radio.on_le_disconnected(one, why)
                if one.radio.on_link:
                    one.radio.on_link(-1)

    def fade(self, a: "Radio", b: "Radio") -> None:
        """The two went out of range: their links are lost when the supervision timeout has passed."""
        for end in a.links():
            if end.peer is not None and end.peer.radio is b:
                self.clock.after(_SUPERVISION, partial(self._lose, end))

    def _lose(self, end: "Link") -> None:
        if end.alive:
            timeout = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
            self.drop(end, timeout, timeout)

    # What Bumble's controllers call

    def find_le_controller(self, address: hci.Address) -> "Radio | None":
        """The radio with a connection under that address, which it may have changed since; else its present owner."""
        for radio in self.controllers:
            if any(end.self_address == address for end in radio.le_connections.values()):
                return radio
        return next((r for r in self.controllers if address in (r.random_address, r.public_address)), None)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """Data goes by its connection, not by the addresses of the moment."""
        end = sender_controller.le_connections.get(destination_address)
        if isinstance(end, Link):
            self.transmit(end, data, 1)

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Extended advertising is not on this air; legacy advertising takes Ether.advertise."""

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Control PDUs travel at the next connection event; those for a link that has gone are lost."""
        radio = self.find_le_controller(receiver_address)
        end = radio.le_connections.get(sender_address) if radio is not None else None
        if isinstance(end, Link) and end.peer is not None:
            self.clock.at(
                end.peer.claim(self.clock.now, airtime(12)), partial(self._deliver_control, end, sender_address, packet)
            )

    def _deliver_control(self, end: "Link", sender: hci.Address, packet: ll.ControlPdu) -> None:
        if end.alive:
            end.radio.on_ll_control_pdu(sender, packet)

    def send_lmp_packet(self, sender_controller: Controller, receiver_address: hci.Address, packet: lmp.Packet) -> None:
        """There is no classic Bluetooth here."""


@dataclasses.dataclass(eq=False)
class Link(Connection):
    """One end of a connection: sends at connection events, `interval` microseconds apart."""

    began: int = 0
    interval: int = 0
    busy_until: int = 0
    alive: bool = True
    peer: "Link | None" = dataclasses.field(default=None, repr=False)
    _fragments: int = 0

    @property
    def radio(self) -> "Radio":
        """The radio whose connection this is."""
        assert isinstance(self.controller, Radio)
        return self.controller

    def claim(self, now: int, duration: int) -> int:
        """Reserve airtime; returns the virtual time at which it ends. An event goes on as long as there is data."""
        start = self.busy_until
        if start <= now:
            start = self.began + -(-(now - self.began) // self.interval) * self.interval
        self.busy_until = start + duration
        return self.busy_until

    def on_hci_acl_data_packet(self, packet: hci.HCI_AclDataPacket) -> None:
        """The host sends: unlike Bumble's, the buffer stays taken until the packet has been on the air."""
        self._fragments += 1
        self.assembler.feed_packet(packet)

    def on_acl_pdu(self, pdu: bytes) -> None:
        """A whole L2CAP PDU is there."""
        packets, self._fragments = self._fragments, 0
        assert isinstance(self.link, Ether)
        self.link.transmit(self, pdu, packets)


class Advertiser(LegacyAdvertiser):
    """Legacy advertising at the interval asked for plus the random delay of the standard, on the virtual clock."""

    controller: "Radio"
    _timer: Timer | None = None
    _advert: Advert | None = None
    _dormant = False

    def start(self) -> None:
        """Begin, or begin anew with what has been set since."""
        self.stop()
        self.enabled = True
        self._advert = Advert(self.advertising_type, self.address, bytes(self.advertising_data))
        self._timer = self.controller.clock.after(self.controller.random.randrange(_ADV_DELAY), self._fire)

    def stop(self) -> None:
        """Send no more."""
        self.enabled = self._dormant = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        """Somebody may hear it again: go on, at any point of an interval."""
        if self._dormant:
            self._dormant = False
            phase = self.controller.random.randrange(self.advertising_interval_min * _UNIT)
            self._timer = self.controller.clock.after(phase, self._fire)

    def _fire(self) -> None:
        radio = self.controller
        if radio.ether.unheard(radio):  # events that reach nobody are not played one by one
            self._dormant, self._timer = True, None
            return
        interval = self.advertising_interval_min * _UNIT + radio.random.randrange(_ADV_DELAY)
        self._timer = radio.clock.after(interval, self._fire)
        assert self._advert is not None
        radio.ether.advertise(radio, self._advert, self.scan_response_data)


class Radio(Controller):
    """One device's Bluetooth controller."""

    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
    )
    le_acl_data_packet_length = _ACL_DATA
    total_num_le_acl_data_packets = 12

    def __init__(self, name: str, ether: Ether, public_address: hci.Address, seed: str) -> None:
        super().__init__(name, link=ether, public_address=public_address)
        self.ether = ether
        self.clock = ether.clock
        self.random = random.Random(seed)
        self.neighbours: dict[Radio, int] = {}
        self.on_report: Callable[[Advert, int], None] | None = None  # instead of HCI advertising reports
        self.on_sent: Callable[[int, bytes], None] | None = None  # (connection handle, L2CAP PDU) has been on the air
        self.on_link: Callable[[int], None] | None = None  # +1, -1: connections
        self.le_legacy_advertiser = Advertiser(self)
        self._scan_began = 0
        self._seen: set[tuple[hci.Address, bytes]] = set()

    def noticed(self) -> None:
        """Somebody has come into range, or a sniffer is there."""
        advertiser = self.le_legacy_advertiser
        if isinstance(advertiser, Advertiser):
            advertiser.wake()

    def links(self) -> list[Link]:
        """The live connections."""
        return [end for end in self.le_connections.values() if isinstance(end, Link)]

    def start_scan(self, interval: int, window: int, active: bool) -> None:
        """Listen `window` of every `interval` (in units of 625 us), from a random phase on."""
        self.le_scan_interval = interval
        self.le_scan_window = window
        self.le_scan_type = int(active)
        self._scan_began = self.clock.now - self.random.randrange(interval * _UNIT)
        self._seen.clear()
        self.le_scan_enable = True

    def power_off(self) -> None:
        """Fall silent at once: peers notice when their supervision timeout has passed."""
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        self.pending_le_connection = None
        for end in self.links():
            end.alive = False
            if self.on_link:
                self.on_link(-1)
            if end.peer is not None:
                self.clock.after(_SUPERVISION, partial(self.ether._lose, end.peer))
        self.le_connections.clear()

    def hear(self, sender: "Radio", advert: Advert, response: bytes, rssi: int) -> None:
        """An advertising event reaches this radio: report it, or connect, if the receiver is on."""
        if self.le_scan_enable and self._window_open():
            self._report(advert, rssi)
            if response and self.le_scan_type and advert.kind in (_ADV_IND, _ADV_SCAN_IND):
                self._report(Advert(_SCAN_RSP, advert.address, bytes(response)), rssi)
        pending = self.pending_le_connection
        if (
            pending is not None
            and advert.kind == _ADV_IND
            and pending.peer_address == advert.address
            and isinstance(pending, hci.HCI_LE_Create_Connection_Command)
            and not any(end.peer is not None and end.peer.radio is sender for end in self.links())
            and sender.le_legacy_advertiser.enabled
        ):
            self.ether.connect(self, sender, pending)

    def _window_open(self) -> bool:
        if self.le_scan_window >= self.le_scan_interval:
            return True
        return (self.clock.now - self._scan_began) % (self.le_scan_interval * _UNIT) < self.le_scan_window * _UNIT

    def _report(self, advert: Advert, rssi: int) -> None:
        if self.on_report is not None:
            self.on_report(advert, rssi)
            return
        if self.filter_duplicates:
            if (advert.address, advert.data) in self._seen:
                return
            self._seen.add((advert.address, advert.data))
        report = hci.HCI_LE_Advertising_Report_Event.Report(
            event_type=hci.HCI_LE_Advertising_Report_Event.EventType(advert.kind),
            address_type=advert.address.address_type,
            address=advert.address,
            data=advert.data,
            rssi=rssi,
        )
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))

    # What differs from Bumble's controller

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Every packet to a host keeps the clock standing until the host has dealt with it."""
        self.clock.activity()
        super().send_hci_packet(packet)

    def on_packet(self, packet: bytes) -> None:
        """The same for every packet from a host."""
        self.clock.activity()
        super().on_packet(packet)

    def on_hci_reset_command(self, _command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """Bumble's leaves everything running."""
        self.power_off()
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_set_scan_enable_command(
        self, command: hci.HCI_LE_Set_Scan_Enable_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Scanning has a phase."""
        self.filter_duplicates = bool(command.filter_duplicates)
        if command.le_scan_enable:
            self.start_scan(self.le_scan_interval, self.le_scan_window, bool(self.le_scan_type))
        else:
            self.le_scan_enable = False
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Bumble's forgets to cancel."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        """What the host sent before still goes out."""
        end = self.find_le_connection_by_handle(command.connection_handle)
        known = isinstance(end, Link)
        status = hci.HCI_COMMAND_STATUS_PENDING if known else hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR
        self._send_hci_command_status(status, command.op_code)
        if isinstance(end, Link):
            self.ether.hang_up(end, command.reason)
