"""A sender of HL7 v2 over MLLP, on the library hl7: hl7_sender.py PORT.

Each line of its input is a JSON text, a message. What it is answered it writes as a line of JSON.
"""

import json
import sys

import hl7
from hl7.client import CR, EB, SB, MLLPClient


def unwrapped(block):
    if not (block.startswith(SB) and block.endswith(EB + CR)):
        raise ValueError(f"not an MLLP block: {block!r}")
    return block[len(SB) : -len(EB + CR)].decode("utf-8")


def main():
    with MLLPClient("127.0.0.1", int(sys.argv[1])) as client:
        for line in sys.stdin:
            message = hl7.parse(json.loads(line))
            answer = hl7.parse(unwrapped(client.send_message(message)))
            header, acknowledgement = answer.segment("MSH"), answer.segment("MSA")
            said = {
                "from": [str(header(3)), str(header(4))],
                "to": [str(header(5)), str(header(6))],
                "time": str(header(7)),
                "message": str(header(9)),
                "version": str(header(12)),
                "code": str(acknowledgement(1)),
                "control": str(acknowledgement(2)),
            }
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    sys.exit(main())
