"""A leaf device on the official SDK: connects through the gateway and sends telemetry.

DEVICE_CONNECTION_STRING says who it is, TRUST_BUNDLE is the file with the gateway's root.
"""

import os
import sys

from azure.iot.device import IoTHubDeviceClient, Message


def main():
    with open(os.environ["TRUST_BUNDLE"], encoding="ascii") as bundle:
        client = IoTHubDeviceClient.create_from_connection_string(
            os.environ["DEVICE_CONNECTION_STRING"], server_verification_cert=bundle.read()
        )
    client.connect()
    for number in range(3):
        message = Message('{"number": %d}' % number)
        message.custom_properties["number"] = str(number)
        client.send_message(message)
    client.shutdown()


if __name__ == "__main__":
    sys.exit(main())
