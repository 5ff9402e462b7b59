"""A Modbus server of pymodbus with several units: modbus_units.py PORT socket|rtu.

Each line of its input is JSON, and is answered with a line of JSON. The first is an object
{UNIT: [[TABLE, ADDRESS, TYPE, ORDER, VALUE], ...]}: what stands where. TABLE is `coil`, `discrete`,
`holding` or `input`, the address what goes over the line, TYPE and ORDER how pymodbus packs the value.
What nobody names up to the last of a table is 0; what is behind it does not exist. It is answered
when the server listens. Then, as often as wanted:

{"silent": [UNIT, ...]}                  which units answer nothing from now on
{"read": [UNIT, TABLE, ADDRESS, COUNT]}  what stands there now
{"asked": true}                          the units of all requests so far, in their order

It ends with its input.
"""

import asyncio
import json
import sys

from pymodbus import FramerType
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

# The order that pymodbus wants, and the function that reads it.
TABLES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
WORD_ORDERS = {"abcd": "big", "cdab": "little", "badc": "big", "dcba": "little"}


def registers(kind, order, value):
    packed = ModbusClientMixin.convert_to_registers(
        value, ModbusClientMixin.DATATYPE[kind], word_order=WORD_ORDERS[order]
    )
    if order in ("badc", "dcba"):
        packed = [int.from_bytes(register.to_bytes(2, "little"), "big") for register in packed]
    return packed


def table(name, entries):
    """All of a table from its first address to the last that is named."""
    image = {}
    for place, address, kind, order, value in entries:
        if place == name:
            packed = [value] if kind == "BIT" else registers(kind, order, value)
            image.update(enumerate(packed, start=address))
    bits = name in ("coil", "discrete")
    values = [image.get(address, False if bits else 0) for address in range(max(image, default=0) + 1)]
    return [SimData(0, values=values, datatype=DataType.BITS if bits else DataType.REGISTERS)]


class Server:
    def __init__(self, port, framing):
        self.port = port
        self.framing = FramerType(framing)
        self.silent = set()
        self.asked = []
        self.server = None

    async def serve(self, units):
        devices = [
            SimDevice(int(unit), simdata=tuple(table(name, entries) for name in TABLES))
            for unit, entries in units.items()
        ]
        self.server = ModbusTcpServer(
            devices,
            framer=self.framing,
            address=("127.0.0.1", self.port),
            trace_pdu=self.note,
            trace_packet=self.withhold,
        )
        await self.server.serve_forever(background=True)

    def note(self, sending, pdu):
        if not sending:
            self.asked.append(pdu.dev_id)
        return pdu

    def withhold(self, sending, packet):
        unit = packet[0 if self.framing == FramerType.RTU else 6] if sending else None
        return b"" if unit in self.silent else packet

    async def answer(self, request):
        if "silent" in request:
            self.silent = set(request["silent"])
            return sorted(self.silent)
        if "asked" in request:
            return self.asked
        unit, name, address, count = request["read"]
        return await self.server.async_getValues(unit, TABLES[name], address, count)


async def main():
    port, framing = sys.argv[1:]
    server = Server(int(port), framing)
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    await server.serve(json.loads(await lines.readline()))
    print("true", flush=True)
    while line := await lines.readline():
        print(json.dumps(await server.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
