"""What the tests of the platform send to other machines: in the network that scripts/test gives them, it ends here."""

from __future__ import annotations

import fcntl
import os
import queue
import socket
import struct
import threading

DEVICE = "nowhere"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET = 2048  # bytes read of each
PORTS_OF = {socket.IPPROTO_TCP, socket.IPPROTO_UDP}
DNS = 53
NAME = 8 + 12  # bytes of UDP and of DNS before the name that is asked for
PATIENCE = 60  # seconds
MARK = ("198.51.100.7", 9)  # nobody's address, set aside for documentation


def is_alone() -> bool:
    """Whether this network has that way out."""
    return any(name == DEVICE for _, name in socket.if_nameindex())


class Outside:
    """The only way out of this network. What takes it is remembered by where it was going, and goes no further."""

    def __init__(self) -> None:
        self._packets: queue.Queue[str] = queue.Queue()
        self._device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        threading.Thread(target=self._read, daemon=True).start()

    def sent(self) -> list[str]:
        """Where the packets went that were sent until now; raises queue.Empty if packets are not seen."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark:
            mark.sendto(b"", MARK)
        return list(iter(lambda: self._packets.get(timeout=PATIENCE), "{}:{}".format(*MARK)))

    def _read(self) -> None:
        while True:
            packet = os.read(self._device, PACKET)
            if packet[0] >> 4 == 4:  # IPv6 has no way out; what it says is to its neighbours
                self._packets.put(_destination(packet))


def _destination(packet: bytes) -> str:
    """Address and port of an IPv4 packet, and the name that a query of DNS asks for."""
    address, protocol = socket.inet_ntoa(packet[16:20]), packet[9]
    content = packet[(packet[0] & 15) * 4 :]
    if protocol not in PORTS_OF:
        return f"{address} (protocol {protocol})"
    port = int.from_bytes(content[2:4])
    return f"{address}:{port}" + (f" asking for {_name(content[NAME:])}" if port == DNS else "")


def _name(labels: bytes) -> str:
    """A name as DNS writes it: each part behind its length, and a part of length 0."""
    length, rest = labels[0], labels[1:]
    return f"{rest[:length].decode()}.{_name(rest[length:])}" if length else ""
