"""What GET /stats tells: counters per provider, and who was accepted twice."""

from collections import Counter, deque

SERVICE_SAMPLES = 10000


class ProviderCounters:
    """The numbers of one provider."""

    def __init__(self):
        self.connections = 0
        self.open_connections = 0
        self.requests = 0
        self.accepted = 0
        self.sandbox = 0
        self.refused = 0
        self.credits = 0
        self.in_progress = 0
        self.max_in_progress = 0
        self.status = Counter()
        self.accepted_jobs = Counter()
        self.duplicates = {}
        self.service_ms = deque(maxlen=SERVICE_SAMPLES)

    def begin_request(self):
        self.requests += 1
        self.in_progress += 1
        self.max_in_progress = max(self.max_in_progress, self.in_progress)

    def describe(self):
        samples = sorted(self.service_ms)
        return {
            "connections": self.connections,
            "open_connections": self.open_connections,
            "requests": self.requests,
            "accepted": self.accepted,
            "sandbox": self.sandbox,
            "refused": self.refused,
            "credits": self.credits,
            "in_progress": self.in_progress,
            "max_in_progress": self.max_in_progress,
            "status": {str(status): count for status, count in self.status.items()},
            "service_ms": {"p50": percentile(samples, 0.50), "p99": percentile(samples, 0.99)},
            "duplicates": self.duplicates,
        }


class Counters:
    """All providers."""

    def __init__(self, names):
        self.providers = {name: ProviderCounters() for name in names}
        self.duplicates = {}

    def accept(self, provider, rf_job, sandbox=False):
        counters = self.providers[provider]
        counters.accepted += 1
        if sandbox:
            counters.sandbox += 1
        if rf_job is None:
            return
        counters.accepted_jobs[rf_job] += 1
        if counters.accepted_jobs[rf_job] > 1:
            counters.duplicates[rf_job] = counters.accepted_jobs[rf_job]
        times = sum(other.accepted_jobs.get(rf_job, 0) for other in self.providers.values())
        if times > 1:
            self.duplicates[rf_job] = times

    def describe(self):
        return {"providers": {name: counters.describe()
                              for name, counters in self.providers.items()},
                "duplicates": self.duplicates}


def percentile(samples, fraction):
    if not samples:
        return None
    return round(samples[min(len(samples) - 1, int(len(samples) * fraction))], 3)
