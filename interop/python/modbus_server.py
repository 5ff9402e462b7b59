"""Answers of a Modbus server in the frames of pymodbus: modbus_server.py PORT socket|rtu.

Each line of its input is JSON, `[CLASS, {ARGUMENT: VALUE}]`, an answer. It connects to the port,
writes all of them at once and reads until the other side closes, which is to say nothing.
"""

import json
import socket
import sys

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, bit_message, register_message

FRAMERS = {"rtu": FramerRTU, "socket": FramerSocket}


def answer(name, arguments):
    if name == "ExceptionResponse":
        return ExceptionResponse(**arguments)
    module = bit_message if hasattr(bit_message, name) else register_message
    return getattr(module, name)(**arguments)


def main():
    port, framing = sys.argv[1:]
    framer = FRAMERS[framing](DecodePDU(False))
    frames = [framer.buildFrame(answer(*json.loads(line))) for line in sys.stdin]
    with socket.create_connection(("127.0.0.1", int(port))) as stream:
        stream.sendall(b"".join(frames))
        stream.shutdown(socket.SHUT_WR)
        said = stream.recv(1)
    return f"something was said to a server: {said!r}" if said else 0


if __name__ == "__main__":
    sys.exit(main())
