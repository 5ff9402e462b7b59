"""An IoT Edge module on the official SDK that asks devices through another module:
sdk_as_planner.py CALLS_HOST DEVICE MODULE.

The environment says who it is. Each line of its input is JSON, and is answered with a line of JSON:
{"method": NAME, "payload": ANY} invokes a method of that module, over HTTPS at CALLS_HOST, and gives
what came back. {"order": ANY, "id": TEXT, "correlation": TEXT} sends a message to the output `orders`
and gives the next message that comes to one of its inputs. It ends with its input.
"""

import json
import os
import queue
import sys

from azure.iot.device import IoTHubModuleClient, Message

PATIENCE_SECONDS = 30


def client_at(host):
    os.environ["IOTEDGE_GATEWAYHOSTNAME"] = host
    return IoTHubModuleClient.create_from_edge_environment()


def main():
    calls_host, device, module = sys.argv[1:]
    client = client_at(os.environ["IOTEDGE_GATEWAYHOSTNAME"])
    # The SDK speaks MQTT at one port alone, and HTTPS where the host's name says.
    caller = client_at(calls_host)
    inputs = queue.Queue()
    client.on_message_received = inputs.put
    client.connect()

    def invoke(request):
        parameters = {
            "methodName": request["method"],
            "payload": request["payload"],
            "responseTimeoutInSeconds": PATIENCE_SECONDS,
            "connectTimeoutInSeconds": PATIENCE_SECONDS,
        }
        return caller.invoke_method(parameters, device, module)

    def order(request):
        message = Message(
            json.dumps(request["order"]), content_encoding="utf-8", content_type="application/json"
        )
        message.message_id = request["id"]
        message.correlation_id = request["correlation"]
        client.send_message_to_output(message, "orders")
        received = inputs.get(timeout=PATIENCE_SECONDS)
        return {
            "input": received.input_name,
            "body": json.loads(received.data),
            "id": received.message_id,
            "correlation": received.correlation_id,
            "properties": received.custom_properties,
        }

    print("true", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(invoke(request) if "method" in request else order(request)), flush=True)
    client.shutdown()
    caller.shutdown()


if __name__ == "__main__":
    sys.exit(main())
