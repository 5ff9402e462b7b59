"""An outstation of IEC 60870-5-104 made of the library c104: iec104_server.py PORT [IDLE_SECONDS].

It has the stations 10 and 11 with points of several types, and commands that change them. After
IDLE_SECONDS without a frame it tests the link. Each line of its input is JSON:

    {"count": N, "apart": SECONDS}   N spontaneous values of point 300, which go on counting
    {"wait": SECONDS}                nothing, for so long

Each is answered with a line: the counts of connections, of frames that came by kind, of values sent, of
information frames told, and the last time that the clock was set to.
"""

import collections
import datetime
import json
import sys
import time

import c104

POINTS = {
    100: (c104.Type.M_SP_NA_1, True),
    101: (c104.Type.M_DP_NA_1, c104.Double.ON),
    110: (c104.Type.M_SP_TB_1, True),
    200: (c104.Type.M_ME_NA_1, c104.NormalizedFloat(-0.5)),
    201: (c104.Type.M_ME_NB_1, c104.Int16(-1234)),
    202: (c104.Type.M_ME_NC_1, 20.75),
    210: (c104.Type.M_ME_TF_1, -1.5),
    300: (c104.Type.M_ME_NC_1, 0.0),
}
# Commands, and the points that they change; a command without one is refused.
COMMANDS = {
    500: (c104.Type.C_SC_NA_1, 100),
    501: (c104.Type.C_SC_NA_1, None),
    520: (c104.Type.C_DC_NA_1, 101),
    511: (c104.Type.C_SE_NB_1, 201),
    512: (c104.Type.C_SE_NC_1, 202),
}
UNNUMBERED = {0x07: "start", 0x13: "stop", 0x43: "test", 0x83: "tested"}

counts = collections.Counter()
clocks = []


def on_command(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    _, target = COMMANDS[point.io_address]
    if target is None:
        return c104.ResponseState.FAILURE
    changed = point.station.get_point(target)
    changed.value = point.value
    changed.transmit(cause=c104.Cot.SPONTANEOUS)
    return c104.ResponseState.SUCCESS


def on_clock(server: c104.Server, ip: str, date_time: datetime.datetime) -> c104.ResponseState:
    clocks.append(date_time)
    return c104.ResponseState.SUCCESS


def on_connect(server: c104.Server, ip: str) -> bool:
    counts["connections"] += 1
    return True


def on_frame(server: c104.Server, data: bytes) -> None:
    control = data[2]
    kind = UNNUMBERED[control] if control & 3 == 3 else "seen" if control & 1 else "asked"
    counts[kind] += 1


def on_own_frame(server: c104.Server, data: bytes) -> None:
    counts["told"] += not data[2] & 1


def main():
    port, idle = int(sys.argv[1]), int((sys.argv[2:] or ["20"])[0])
    server = c104.Server(ip="127.0.0.1", port=port, tick_rate_ms=50)
    server.protocol_parameters.keep_alive_interval = idle
    for address in (10, 11):
        station = server.add_station(common_address=address)
        for at, (kind, value) in POINTS.items():
            station.add_point(io_address=at, type=kind).value = value
        for at, (kind, _) in COMMANDS.items():
            station.add_point(io_address=at, type=kind).on_receive(callable=on_command)
    server.on_clock_sync(callable=on_clock)
    server.on_connect(callable=on_connect)
    server.on_receive_raw(callable=on_frame)
    server.on_send_raw(callable=on_own_frame)
    server.start()
    counter = server.get_station(10).get_point(300)
    print(json.dumps({"port": port}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        for _ in range(wanted.get("count", 0)):
            counter.value = counter.value + 1.0
            counter.transmit(cause=c104.Cot.SPONTANEOUS)
            counts["sent"] += 1
            time.sleep(wanted["apart"])
        time.sleep(wanted.get("wait", 0))
        clock = clocks[-1].timestamp() if clocks else None
        print(json.dumps({**counts, "clock": clock}), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
