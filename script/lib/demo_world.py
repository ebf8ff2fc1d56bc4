"""What the demo's story and its report have in common: the database and the providers."""

import csv
import io
import json
import os
import subprocess
import urllib.request


class DatabaseDown(Exception):
    """psql could not do it; the text is its complaint."""


class Database:
    """The throw-away cluster, asked through psql."""

    def __init__(self, directory):
        self.directory = directory

    def rows(self, sql, role="postgres"):
        """The rows of one script, as lists of texts; NULL is the empty text."""
        command = ["psql", "-X", "-q", "-t", "--csv", "-v", "ON_ERROR_STOP=1",
                   "-h", self.directory, "-U", role, "-d", "postgres", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DatabaseDown(done.stderr.strip())
        return list(csv.reader(io.StringIO(done.stdout)))

    def script(self, sql, role="postgres"):
        """A long script by standard input, each statement a transaction; its output lines."""
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                   "-h", self.directory, "-U", role, "-d", "postgres", "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DatabaseDown(done.stderr.strip())
        return done.stdout.splitlines()

    def value(self, sql, role="postgres"):
        """The only value of the only row, or None without a row."""
        rows = self.rows(sql, role)
        return rows[0][0] if rows else None


class Providers:
    """The simulator: its control port and its journal."""

    def __init__(self, directory):
        with open(os.path.join(directory, "simulator.json"), encoding="ascii") as file:
            self.info = json.load(file)
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, document=None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.info["control"] + path, data=body, method=method)
        with self.opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def misbehave(self, provider, action, **how):
        self.call("POST", "/rules", {"provider": provider, "action": action, **how})

    def behave(self):
        self.call("DELETE", "/rules")

    def are_busy(self):
        """Is there a request that has not been decided?  Its caller may be dead."""
        return any(numbers["in_progress"] for numbers in self.call("GET", "/stats")["providers"].values())

    def event_keys(self):
        """What the providers' events are verified with, by provider."""
        return self.call("GET", "/events")

    def events(self, provider, rules):
        """Signed requests about the mails it has taken: dicts with headers and body (base64)."""
        return self.call("POST", "/events", {"provider": provider, "rules": rules})

    def refuse_connections(self, provider):
        self.call("POST", "/listener", {"provider": provider, "state": "refuse", "drop": True})

    def accept_connections(self, provider):
        self.call("POST", "/listener", {"provider": provider, "state": "listen"})

    def journal(self):
        """Every line so far; asking for numbers makes the simulator write them all."""
        self.call("GET", "/stats")
        with open(self.info["journal"], encoding="ascii") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
