"""A client of STOMP 1.2 on stomp.py: stomp_client.py PORT.

Each line of its input is JSON and says what to do, `{"do": "connect" | "send" | "disconnect", …}`;
each event on the connection is a line of its output, `{"event": NAME, …}`. Bodies are texts whose
characters are bytes.
"""

import json
import sys

import stomp


def tell(event, **what):
    print(json.dumps({"event": event, **what}), flush=True)


class Told(stomp.ConnectionListener):
    def on_connected(self, frame):
        tell("connected", version=frame.headers["version"])

    def on_receipt(self, frame):
        tell("receipt", receipt=frame.headers["receipt-id"])

    def on_error(self, frame):
        tell("error", message=frame.headers["message"])

    def on_heartbeat(self):
        tell("heartbeat")

    def on_heartbeat_timeout(self):
        tell("heartbeat timeout")

    def on_disconnected(self):
        tell("disconnected")


def connection(port, heartbeats):
    made = stomp.StompConnection12([("127.0.0.1", port)], heartbeats=tuple(heartbeats))
    made.set_listener("told", Told())
    return made


def main():
    client = None
    for line in sys.stdin:
        step = json.loads(line)
        match step.pop("do"):
            case "connect":
                client = connection(int(sys.argv[1]), step.pop("heartbeats", (0, 0)))
                client.connect(**step)
            case "send":
                client.send(body=step.pop("body").encode("latin-1"), **step)
            case "disconnect":
                client.disconnect(**step)


if __name__ == "__main__":
    sys.exit(main())
