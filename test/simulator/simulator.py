#!/usr/bin/env python3
"""Simulated mail providers for the delivery tests; README.md describes the use."""

import argparse
import asyncio
import gc
import json
import os
import resource
import signal
import sys
import time

import certificates
from apollo import Apollo
from control import Control
from counters import Counters
from events import Events
from hunter import Hunter
from journal import Journal
from listener import DeafServer, Listener
from mail_connection import Holds, MailConnection
from mailgun import Mailgun
from neverbounce import NeverBounce
from rules import RuleBook
from sendgrid import SendGrid

PARENT_POLL_SECONDS = 0.5


def parse_arguments():
    parser = argparse.ArgumentParser(description="Simulated mail providers for tests.")
    parser.add_argument("--directory", required=True, help="certificates and simulator.json")
    parser.add_argument("--journal", help="default: DIRECTORY/journal.jsonl")
    parser.add_argument("--no-fsync", action="store_true", help="journal lines are only written")
    parser.add_argument("--keep-raw", action="store_true", help="journal raw heads and bodies")
    parser.add_argument("--sendgrid-key", default="SG.test-key")
    parser.add_argument("--mailgun-key", default="mg-test-key")
    parser.add_argument("--mailgun-domain", action="append", help="default: mg.example.com")
    parser.add_argument("--eu-domain", action="append", default=[],
                        help="domain known to mailgun_eu only")
    parser.add_argument("--apollo-key", default="ap-test-key")
    parser.add_argument("--apollo-limit", action="append", default=[], metavar="SECONDS=N",
                        help="requests of an endpoint in a window; may be repeated")
    parser.add_argument("--hunter-key", default="hu-test-key")
    parser.add_argument("--neverbounce-key", default="private_test_key")
    parser.add_argument("--job-seconds", type=float, default=0.3,
                        help="how long a NeverBounce job takes")
    parser.add_argument("--credits", type=int, default=1000000,
                        help="of each provider that counts them")
    parser.add_argument("--parent", type=int, help="stop when this process is gone")
    parser.add_argument("--lifetime", type=float, default=1800, help="stop after these seconds")
    return parser.parse_args()


class World:
    """Everything the connections share."""

    def __init__(self, options):
        self.options = options
        self.directory = os.path.abspath(options.directory)
        self.keep_raw = options.keep_raw
        path = options.journal or os.path.join(self.directory, "journal.jsonl")
        self.journal = Journal(os.path.abspath(path), asyncio.get_running_loop(),
                               fsync=not options.no_fsync)
        self.connection_number = self.journal.last_connection
        self.request_number = self.journal.last_request
        self.rules = RuleBook()
        self.holds = Holds()
        self.events = Events(self.directory)
        self.contexts = {}
        self.providers = {}
        self.listeners = {}
        self.control = None
        self.add_providers()
        self.counters = Counters(self.listeners)
        for provider, rf_job in self.journal.accepted:
            if provider in self.counters.providers:
                self.counters.accept(provider, rf_job)

    def next_connection(self):
        self.connection_number += 1
        return self.connection_number

    def next_request(self):
        self.request_number += 1
        return self.request_number

    def add_providers(self):
        options = self.options
        good = certificates.server_context(self.directory, "server")
        domains = options.mailgun_domain or ["mg.example.com"]
        self.add_provider(SendGrid("sendgrid", options.sendgrid_key), good)
        self.add_provider(Mailgun("mailgun", options.mailgun_key, domains), good)
        self.add_provider(Mailgun("mailgun_eu", options.mailgun_key, options.eu_domain), good)
        limits = dict(map(int, limit.split("=")) for limit in options.apollo_limit)
        self.add_provider(Apollo("apollo", options.apollo_key, options.credits, limits), good)
        self.add_provider(Hunter("hunter", options.hunter_key, options.credits), good)
        self.add_provider(NeverBounce("neverbounce", options.neverbounce_key, options.credits,
                                      options.job_seconds), good)
        for kind in ("expired", "wronghost", "selfsigned"):
            self.add_provider(SendGrid(f"tls_{kind}", options.sendgrid_key),
                              certificates.server_context(self.directory, kind))
        old = certificates.old_context(self.directory)
        if old is not None:
            self.add_provider(SendGrid("tls_old", options.sendgrid_key), old)
        self.listeners["tarpit"] = Listener("tarpit", DeafServer(self, "tarpit").serve)
        self.listeners["tls_truncated"] = Listener(
            "tls_truncated", DeafServer(self, "tls_truncated", good).serve)

    def add_provider(self, provider, context):
        self.providers[provider.name] = provider
        self.contexts[provider.name] = context

        async def serve(stream):
            await MailConnection(self, provider, self.contexts[provider.name], stream).run()

        self.listeners[provider.name] = Listener(provider.name, serve)

    async def open(self):
        self.control = Listener("control", Control(self).serve)
        for listener in (*self.listeners.values(), self.control):
            await listener.open()

    async def stop(self):
        for listener in (*self.listeners.values(), self.control):
            await listener.stop()
        self.journal.close()

    def describe(self):
        urls = {name: f"https://localhost:{listener.port}"
                for name, listener in self.listeners.items()}
        return {"pid": os.getpid(), "control": f"http://127.0.0.1:{self.control.port}",
                "ca": os.path.join(self.directory, "ca.pem"), "journal": self.journal.path, **urls}


def publish(directory, description):
    """Tell the world that everything listens; a reader sees all of the file or none."""
    path = os.path.join(directory, "simulator.json")
    with open(path + ".new", "w", encoding="ascii") as file:
        json.dump(description, file, indent=1)
    os.rename(path + ".new", path)


def is_alive(pid):
    """Does the process run?  A zombie nobody waits for does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


async def wait_for_end(options):
    """Until a signal, the parent's end or the end of the lifetime; returns which."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    deadline = time.monotonic() + options.lifetime
    while time.monotonic() < deadline:
        try:
            await asyncio.wait_for(signalled.wait(), PARENT_POLL_SECONDS)
            return "signal"
        except asyncio.TimeoutError:
            pass
        if options.parent is not None and not is_alive(options.parent):
            return "parent is gone"
    return "lifetime is over"


async def run(options):
    world = World(options)
    await world.open()
    publish(world.directory, world.describe())
    reason = await wait_for_end(options)
    print(f"simulator: stopping: {reason}", file=sys.stderr)
    await world.stop()


def main():
    options = parse_arguments()
    os.makedirs(options.directory, exist_ok=True)
    try:
        os.unlink(os.path.join(options.directory, "simulator.json"))
    except FileNotFoundError:
        pass
    certificates.ensure(options.directory)
    # Hundreds of connections to several listeners at once.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The journal's thread must not wait 5 ms for the interpreter after each fsync.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(20000, 20, 50)
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
