#!/usr/bin/python3
"""Follows topics of a Millrace server and comes back by itself.

Needs Python 3.9 or newer and Debian's python3-websockets. Every message is printed as a line of JSON; what happens
to the connection, and what is lost, goes to standard error. Exit code 1 when the server says not to come back.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from pathlib import Path

import websockets

# Waits between attempts: random up to a bound that doubles, so that a thousand clients do not come back at once.
MIN_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30
# A connection that lasted so long was a success.
STABLE_SECONDS = 10
# A token is renewed this long before it runs out, or after four fifths of a short life.
RENEW_SECONDS = 30
# docs/protocol.md: after these there is no point in coming back.
STOP_CODES = {1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4003, 4004, 4006}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Stopped(Exception):
    """The server said not to come back."""


class Subscriber:
    def __init__(self, url, topics, token_file):
        self.url = url
        self.token_file = token_file
        # The place of the last message of each topic: what comes after it is asked for on the next connection.
        self.places = dict.fromkeys(topics)
        self.line = None
        self.drain_seconds = None
        self.renewal = None

    async def run(self):
        """Connects, again and again, until it is cancelled or the server says not to come back."""
        bound = MIN_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            code = await self.converse()
            if code in STOP_CODES:
                raise Stopped(f"closed with {code}: not coming back")
            if time.monotonic() - began >= STABLE_SECONDS:
                bound = MIN_BACKOFF_SECONDS
            wait = self.drain_seconds if self.drain_seconds is not None else random.uniform(0, bound)
            bound = min(bound * 2, MAX_BACKOFF_SECONDS)
            self.drain_seconds = None
            say(f"disconnected ({code}), back in {wait:.1f} s")
            await asyncio.sleep(wait)

    async def converse(self):
        """One connection, from its handshake to its close code; 1006 when it never opened or was cut."""
        try:
            # The library pings every 20 s and gives up on a server that is silent for another 20.
            async with websockets.connect(self.url, subprotocols=["millrace.v1.json"], open_timeout=10) as line:
                self.line = line
                try:
                    async for frame in line:
                        await self.handle(json.loads(frame))
                except websockets.ConnectionClosed:
                    pass  # Its code says why.
                return line.close_code or 1006
        except (OSError, asyncio.TimeoutError, websockets.InvalidHandshake) as error:
            say(f"cannot connect: {error}")
            return 1006
        finally:
            if self.renewal is not None:
                self.renewal.cancel()
                self.renewal = None

    async def handle(self, event):
        kind = event["type"]
        if kind == "message":
            self.take(event)
        elif kind == "welcome":
            await (self.authenticate() if event["authRequired"] else self.subscribe())
        elif kind == "ack" and event["id"] == "auth":
            await self.authenticated(event.get("expiresAt"))
        elif kind == "ack":
            self.subscribed(event)
        elif kind == "gap":
            self.lost(event["topic"], event["from"], event["to"], event["reason"])
            self.places[event["topic"]] = {"epoch": event["epoch"], "offset": event["to"]}
        elif kind == "drain":
            self.drain_seconds = event["reconnectAfterMs"] / 1000
        elif kind == "error":
            say(f"refused: {event['code']}: {event['message']}")

    async def authenticate(self):
        if self.token_file is None:
            raise Stopped("the server wants a token: give --token-file")
        # Read anew each time: whatever keeps the file fresh need not know this program.
        token = Path(self.token_file).read_text(encoding="utf-8").strip()
        await self.send({"type": "auth", "id": "auth", "token": token})

    async def authenticated(self, expires_at):
        first = self.renewal is None
        say("authenticated" if first else "token renewed")
        if expires_at is not None:
            self.renewal = asyncio.create_task(self.renew(expires_at - time.time()))
        if first:
            await self.subscribe()

    async def renew(self, left_seconds):
        await asyncio.sleep(max(left_seconds * 0.8, left_seconds - RENEW_SECONDS))
        await self.authenticate()

    async def subscribe(self):
        for topic, place in self.places.items():
            since = {} if place is None else {"since": place}
            await self.send({"type": "subscribe", "id": topic, "topic": topic, **since})

    def subscribed(self, ack):
        topic, before = ack["topic"], self.places[ack["topic"]]
        say(f"subscribed to {topic}")
        if before is not None and ack["recovered"]:
            return  # What was missed follows, from our place on.
        if before is not None:
            first = before["offset"] + 1 if before["epoch"] == ack["epoch"] else 1
            self.lost(topic, first, ack["offset"], "not in the history any more")
        self.places[topic] = {"epoch": ack["epoch"], "offset": ack["offset"]}

    def take(self, message):
        topic, offset = message["topic"], message["offset"]
        # The server sends offsets in order, each once, and tells what it leaves out: nothing has to be checked here.
        self.places[topic] = {"epoch": message["epoch"], "offset": offset}
        print(json.dumps({"topic": topic, "offset": offset, "data": message["data"]}), flush=True)

    def lost(self, topic, first, last, reason):
        if first <= last:
            say(f"lost: {topic} {first} to {last}: {reason}")

    async def send(self, command):
        try:
            await self.line.send(json.dumps(command))
        except websockets.ConnectionClosed:
            pass  # Whoever reads from the line sees that too, and comes back.


async def main():
    parser = argparse.ArgumentParser(description="Prints what is published to topics, as lines of JSON.")
    parser.add_argument("topics", nargs="+", metavar="TOPIC", help="a topic; patterns cannot be recovered")
    parser.add_argument("--url", default="ws://127.0.0.1:9001/ws", help="the server (%(default)s)")
    parser.add_argument("--token-file", help="file with the token, read for each connection and before it runs out")
    args = parser.parse_args()
    subscriber = asyncio.create_task(Subscriber(args.url, args.topics, args.token_file).run())
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, subscriber.cancel)
    try:
        await subscriber
    except asyncio.CancelledError:
        return 0
    except Stopped as reason:
        say(reason)
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
