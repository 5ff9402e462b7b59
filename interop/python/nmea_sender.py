"""A receiver of NMEA 0183, on the library pynmea2: nmea_sender.py PORT.

Each line of its input is a JSON list: talker, sentence and the texts of its fields. The library writes
the sentence with its checksum. What it reads in it itself is written as a line of JSON.
"""

import json
import socket
import sys

import pynmea2


def position(sentence):
    if not sentence.lat:
        return {}
    return {"latitude": sentence.latitude, "longitude": sentence.longitude}


def recommended(sentence):
    speed = sentence.spd_over_grnd
    moment = sentence.datetime
    return {
        "time": moment.isoformat() if moment else None,
        "valid": sentence.is_valid,
        "speed": None if speed is None else speed * 1.852,
        "course": sentence.true_course,
    }


def fix(sentence):
    return {
        "quality": sentence.gps_qual,
        "satellites": int(sentence.num_sats) if sentence.num_sats else None,
        "hdop": float(sentence.horizontal_dil) if sentence.horizontal_dil else None,
        "altitude": sentence.altitude,
    }


def read(line):
    sentence = pynmea2.parse(line, check=True)
    readers = {"RMC": recommended, "GGA": fix}
    reader = readers.get(sentence.sentence_type)
    if reader is None:
        return None
    values = {"sentence": sentence.sentence_type, **position(sentence), **reader(sentence)}
    return {name: value for name, value in values.items() if value is not None}


def main():
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        for line in sys.stdin:
            talker, name, fields = json.loads(line)
            kind = pynmea2.TalkerSentence.sentence_types[name]
            text = kind(talker, name, fields).render(newline=True)
            connection.sendall(text.encode("ascii"))
            print(json.dumps(read(text)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
