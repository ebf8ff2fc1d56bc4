"""The journal: one JSON line per phase of every request, on disk before it matters.

Delivery tests compare this file with the database, so a line that records a
decision must be durable before the peer can learn of that decision.  Lines
are collected by the event loop and written by one thread, which syncs a whole
group at a time: the loop never waits for the disk, and many requests share
one fsync.
"""

import json
import os
import re
import sys
import threading
import time

# A line nobody waits for is written at the latest after this many seconds.
LAZY_WRITE_SECONDS = 0.05

encode_text = json.JSONEncoder(separators=(",", ":")).encode
SURROGATE = re.compile(r"(\\[^u]|\\ud[89ab]\w\w\\ud[c-f]\w\w|\\u(?!d[89a-f])\w{4})"
                       r"|\\ud[89a-f]\w\w")


def encode_line(record):
    """One JSON line, pure ASCII; bytes that were no UTF-8 become U+FFFD.

    They arrive here as lone surrogates, which strict readers do not decode.
    """
    text = encode_text(record)
    if "\\ud" in text:
        text = SURROGATE.sub(lambda match: match.group(1) or "\\ufffd", text)
    return text.encode("ascii") + b"\n"


class Journal:
    """Append-only file of JSON lines with group commit."""

    def __init__(self, path, loop, fsync=True):
        self.path = path
        self.loop = loop
        self.fsync = fsync
        self.last_connection = 0
        self.last_request = 0
        self.accepted = []          # (provider, rf_job) found in an older file
        self.size = self._adopt_existing()
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.pending = []
        self.waiters = []
        self.stopping = False
        self.wakeup = threading.Condition()
        self.thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.thread.start()

    def _adopt_existing(self):
        """Continue an older journal: cut a torn last line, go on with its numbers."""
        try:
            with open(self.path, "rb+") as file:
                data = file.read()
                whole = data.rfind(b"\n") + 1
                file.truncate(whole)
        except FileNotFoundError:
            return 0
        for line in data[:whole].splitlines():
            record = json.loads(line)
            self.last_connection = max(self.last_connection, record.get("conn") or 0)
            self.last_request = max(self.last_request, record.get("request") or 0)
            if record["phase"] == "accepted":
                self.accepted.append((record["provider"], record.get("rf_job")))
        return whole

    def write(self, phase, provider, **fields):
        """Note one phase; the line reaches the disk soon, in order."""
        record = {"t": time.time(), "phase": phase, "provider": provider}
        record.update(fields)
        line = encode_line(record)
        with self.wakeup:
            self.pending.append(line)
            if len(self.pending) == 1:
                self.wakeup.notify()

    async def durable(self):
        """Return once every line written so far is on disk."""
        waiter = self.loop.create_future()
        with self.wakeup:
            self.waiters.append(waiter)
            self.wakeup.notify()
        await waiter

    def close(self):
        """Write what is left and end the thread."""
        with self.wakeup:
            self.stopping = True
            self.wakeup.notify()
        self.thread.join()
        os.close(self.file)

    def _run(self):
        while True:
            with self.wakeup:
                while not self.waiters and not self.stopping:
                    if self.pending:
                        self.wakeup.wait(LAZY_WRITE_SECONDS)
                        break
                    self.wakeup.wait()
                lines, self.pending = self.pending, []
                waiters, self.waiters = self.waiters, []
                last = self.stopping
            try:
                self._commit(lines)
            except OSError as error:
                # Without its ground truth no test may go on.
                print(f"simulator: journal {self.path}: {error}", file=sys.stderr)
                os._exit(70)
            if waiters and not self.loop.is_closed():
                self.loop.call_soon_threadsafe(_wake_all, waiters)
            if last:
                return

    def _commit(self, lines):
        data = b"".join(lines)
        self.size += len(data)
        while data:
            data = data[os.write(self.file, data):]
        if lines and self.fsync:
            os.fsync(self.file)

    def read_from(self, first, limit):
        """Up to `limit` raw lines, beginning with line number `first` (0-based)."""
        lines = []
        with open(self.path, "rb") as file:
            for number, line in enumerate(file):
                if number < first or not line.endswith(b"\n"):
                    continue
                lines.append(line.rstrip(b"\n"))
                if len(lines) == limit:
                    break
        return lines


def _wake_all(waiters):
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
