"""Rate windows as a provider counts them: fixed, and begun by the first request."""

import time


class Windows:
    """Limits of one provider, counted for each endpoint on its own."""

    def __init__(self, limits, clock=time.monotonic):
        self.limits = limits        # seconds -> requests
        self.clock = clock
        self.counts = {}            # (endpoint, seconds) -> [start, used]

    def look(self, endpoint, seconds):
        """Requests used in the window that is open now, and seconds until it ends."""
        start, used = self.counts.get((endpoint, seconds), (None, 0))
        if start is None or self.clock() - start >= seconds:
            return 0, seconds
        return used, seconds - (self.clock() - start)

    def blocked_for(self, endpoint):
        """Seconds until another request may come; 0: now."""
        waits = [0]
        for seconds, limit in self.limits.items():
            used, left = self.look(endpoint, seconds)
            if used >= limit:
                waits.append(left)
        return max(waits)

    def count(self, endpoint):
        for seconds in self.limits:
            used, _ = self.look(endpoint, seconds)
            if used == 0:
                self.counts[endpoint, seconds] = [self.clock(), 0]
            self.counts[endpoint, seconds][1] += 1
