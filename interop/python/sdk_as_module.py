"""An IoT Edge module on the official SDK. What it learns it reports, so that a test sees it.

The environment says who it is, in either of the ways the SDK knows. It sends telemetry, reads its
twin, reports, follows one desired patch, answers the method `ping` and ends after one input
message, which it sends on.
"""

import queue
import sys

from azure.iot.device import IoTHubModuleClient, Message, MethodResponse

PATIENCE_SECONDS = 30


def main():
    client = IoTHubModuleClient.create_from_edge_environment()
    client.connect()

    message = Message('{"weight": 12.5}', content_encoding="utf-8", content_type="application/json")
    message.message_id = "sdk/1 a"
    message.custom_properties["unit of weight"] = "kg & g"
    client.send_message_to_output(message, "telemetry")

    twin = client.get_twin()
    client.patch_twin_reported_properties({"started": twin["desired"]["interval"]})

    patches = queue.Queue()
    inputs = queue.Queue()

    def answer(request):
        payload = {"echo": request.payload, "name": request.name}
        client.send_method_response(MethodResponse.create_from_method_request(request, 200, payload))

    client.on_twin_desired_properties_patch_received = patches.put
    client.on_method_request_received = answer
    client.on_message_received = inputs.put
    client.patch_twin_reported_properties({"ready": True})

    patch = patches.get(timeout=PATIENCE_SECONDS)
    client.patch_twin_reported_properties({"patched": patch["interval"], "version": patch["$version"]})

    received = inputs.get(timeout=PATIENCE_SECONDS)
    echo = Message(received.data)
    echo.custom_properties["input"] = received.input_name
    echo.custom_properties["kind"] = received.custom_properties["kind"]
    client.send_message_to_output(echo, "echo")

    client.shutdown()


if __name__ == "__main__":
    sys.exit(main())
