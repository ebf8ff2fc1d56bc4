"""What limits and breakers cost."""

import subprocess

from world import WORKSPACE, Wrong

# As many as an account that is limited in every way has; none is ever full.
ON = """
INSERT INTO roleferry.rate_limit (account, key, max_requests, per) VALUES
    ('mock_0', '', 50000, '1 second'), ('mock_0', '', 100000, '1 hour'),
    ('mock_0', 'from_addr', 50000, '1 second'), ('mock_0', 'to_domain', 50000, '1 second');
SELECT roleferry.force_circuit('mock_0', 'auto')
"""

OFF = """
DELETE FROM roleferry.rate_limit WHERE account = 'mock_0';
SELECT roleferry.force_circuit('mock_0', 'closed', 'what it costs is measured')
"""


class Limits:
    """The same drain with all of them and without, and what one decision takes."""

    def __init__(self, bench):
        self.bench = bench
        self.turn = 0

    def on_off(self):
        """A pair: which comes first changes, so that what drifts cancels out."""
        self.turn += 1
        cost = {}
        for on in (True, False) if self.turn % 2 else (False, True):
            self.bench.server.sql(ON if on else OFF)
            drained = self.bench.drain(self.bench.ours, 0, 64, ("rate", "cpu"))
            cost[on] = drained["cpu"]
        self.bench.server.sql(OFF + "; SELECT roleferry.force_circuit('mock_0', 'auto')")
        return {"cpu_limits_on_off": (cost[True] / cost[False] - 1) * 100}

    def decisions(self):
        """Pure logic, without a server."""
        done = subprocess.run([str(WORKSPACE / "programs" / "decide")], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong("decide: " + done.stderr.strip())
        return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}
