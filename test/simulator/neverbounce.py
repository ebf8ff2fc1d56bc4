"""NeverBounce: jobs with a life of their own, single checks, errors as HTTP 200.

A verdict is written in the address: its local part begins with invalid,
disposable, catchall or unknown; all others are valid.  An address at
review.example puts its job under review for ever, one at fail.example makes
it fail, one at slow.example makes it take ten times as long.
"""

import json
import time
import urllib.parse

from http_connection import Answer
from provider import Mail, Verdict, nginx_too_large

JSON_TYPE = {"Content-Type": "application/json"}
VERSIONS = ("/v4/", "/v4.1/", "/v4.2/")
VERDICTS = ("invalid", "disposable", "catchall", "unknown")
SLOW_FACTOR = 10


class Failure(Exception):
    """An answer with HTTP status 200 and another word than success."""

    def __init__(self, message, status="general_failure"):
        super().__init__(message)
        self.status = status


class Job:
    """The states follow from the time that has passed since its start."""

    def __init__(self, number, filename, emails, seconds, parsed, started):
        self.id = number
        self.filename = filename
        self.emails = emails
        hosts = {email.rpartition("@")[2].lower() for email in emails}
        self.seconds = seconds * (SLOW_FACTOR if "slow.example" in hosts else 1)
        self.end = ("under_review" if "review.example" in hosts else
                    "failed" if "fail.example" in hosts else "complete")
        self.parsed = parsed
        self.started_at = time.monotonic() if parsed and started else None
        self.is_deleted = False

    def cost(self):
        """Duplicates, and what is no address, cost nothing; nor do unknown ones."""
        unique = {email.lower() for email in self.emails if "@" in email}
        return sum(1 for email in unique if verdict_of(email) != "unknown")

    def state(self):
        if self.is_deleted:
            return "deleted"
        if not self.parsed:
            return "uploading"
        if self.started_at is None:
            return "waiting"
        part = (time.monotonic() - self.started_at) / self.seconds if self.seconds else 1
        if part >= 1:
            return self.end
        return "queued" if part < 0.3 else "running"

    def describe(self):
        state = self.state()
        done = state == "complete"
        verdicts = [verdict_of(email) for email in self.emails]
        total = {"records": len(self.emails), "billable": self.cost(),
                 "processed": len(self.emails) if done else 0,
                 "duplicates": len(self.emails) - len({email.lower() for email in self.emails}),
                 "bad_syntax": sum(1 for email in self.emails if "@" not in email)}
        for word in ("valid", *VERDICTS):
            total[word] = verdicts.count(word) if done else 0
        return {"id": self.id, "filename": self.filename, "job_status": state,
                "created_at": "2026-01-05 16:25:19", "started_at": None, "finished_at": None,
                "failure_reason": "the list was refused" if state == "failed" else None,
                "total": total, "bounce_estimate": 0, "percent_complete": 100 if done else 0}


class NeverBounce:
    """Every call takes its parameters as JSON, as a form or in the URL."""

    body_limit = 25 * 1000 * 1000

    def __init__(self, name, key, credits, job_seconds):
        self.name = name
        self.key = key
        self.credits = credits
        self.used = 0
        self.job_seconds = job_seconds
        self.jobs = {}
        self.last_id = 150000

    def error(self, status, message=None):
        """Only what stands before the real one answers with such a status."""
        if status == 413:
            return nginx_too_large()
        if status == 200:
            return self._failed(Failure(message or "Something went wrong"))
        return Answer(status, {"Content-Type": "text/html"},
                      f"<html><head><title>{status}</title></head><body></body></html>".encode())

    def too_large(self):
        return nginx_too_large()

    def garble(self, text):
        return (b'{"status":"success","job_id":' + text + b',"result":' + text +
                b',"results":[{"data":{"email":' + text + b'},"verification":{"result":' + text +
                b"}}]}")

    def examine(self, request):
        mail = Mail()
        prefix = next((text for text in VERSIONS if request.path.startswith(text)), None)
        call = request.path[len(prefix):] if prefix else None
        if call not in CALLS:
            return Verdict(mail, Answer(404, {"Content-Type": "text/html"}, b"404 Not Found"))
        mail.call = call
        try:
            fields = read_fields(request)
            if "key" not in fields:
                raise Failure("Missing required parameter 'key'")
            if fields["key"] != self.key:
                raise Failure(f"Invalid API key '{str(fields['key'])[:8]}'", "auth_failure")
            body, commit = CALLS[call](self, fields, mail)
        except Failure as failure:
            return Verdict(mail, self._failed(failure))
        body = {"status": "success", **body, "execution_time": 7}
        return Verdict(mail, Answer(200, JSON_TYPE, json.dumps(body).encode()), taken=True,
                       commit=commit)

    def _failed(self, failure):
        body = {"status": failure.status, "message": str(failure), "execution_time": 7}
        return Answer(200, JSON_TYPE, json.dumps(body).encode())

    def _demand_credits(self, count):
        if count > self.credits:
            raise Failure(f"Insufficient credit balance. This transaction requires {count} credits. "
                          f"The current available credit balance is {self.credits}.")

    def _charge(self, count):
        self.credits -= count
        self.used += count

    def _credits_info(self):
        return {"paid_credits_used": self.used, "free_credits_used": 0,
                "paid_credits_remaining": self.credits, "free_credits_remaining": 0}

    def _job(self, fields):
        job = self.jobs.get(number_of(fields, "job_id"))
        if job is None or job.is_deleted:
            raise Failure("Invalid job ID")
        return job

    # the calls: each returns the answer's members and what to do when it is taken

    def create(self, fields, mail):
        mail.subject = fields.get("filename")
        if fields.get("input_location") != "supplied":
            raise Failure("Missing required parameter 'input_location'")
        emails = read_input(fields.get("input"))
        mail.to = emails[:100]
        mail.extra["addresses"] = len(emails)
        parsed, started = is_set(fields, "auto_parse"), is_set(fields, "auto_start")
        self.last_id += 1
        job = Job(self.last_id, fields.get("filename") or "Created from Array.csv", emails,
                  self.job_seconds, parsed, started)
        cost = job.cost() if parsed and started else 0
        self._demand_credits(cost)

        def commit():
            self.jobs[job.id] = job
            self._charge(cost)
            return {"credits": cost, "job_id": job.id}
        return {"job_id": job.id}, commit

    def parse(self, fields, _mail):
        job = self._job(fields)
        if job.parsed:
            raise Failure("This job is not in a state which can be parsed")
        return self._go_on(job, is_set(fields, "auto_start"))

    def start(self, fields, _mail):
        job = self._job(fields)
        if job.state() != "waiting":
            raise Failure("This job is not in a state which can be ran")
        return self._go_on(job, True)

    def _go_on(self, job, started):
        cost = job.cost() if started else 0
        self._demand_credits(cost)

        def commit():
            job.parsed = True
            if started:
                job.started_at = time.monotonic()
                self._charge(cost)
            return {"credits": cost, "job_id": job.id}
        return {"queue_id": f"NB-PQ-{job.id:X}"}, commit

    def status(self, fields, _mail):
        return self._job(fields).describe(), None

    def results(self, fields, _mail):
        job = self._job(fields)
        if job.state() != "complete":
            raise Failure("Results are not available: the job must be complete")
        rows = [describe_row(email) for email in job.emails]
        return self._page(rows, fields, {"job_id": job.id}), None

    def search(self, fields, mail):
        mail.subject = fields.get("filename")
        found = [job for job in self.jobs.values() if not job.is_deleted and
                 fields.get("filename", job.filename) == job.filename and
                 fields.get("job_id", job.id) == job.id]
        return self._page([job.describe() for job in found], fields, {}), None

    def _page(self, rows, fields, query):
        size = number_of(fields, "items_per_page", 10)
        page = number_of(fields, "page", 1)
        if not 1 <= size <= 1000 or page < 1:
            raise Failure("Invalid value for 'items_per_page' or 'page'")
        return {"total_results": len(rows), "total_pages": -(-len(rows) // size),
                "query": {**query, "page": page, "items_per_page": size},
                "results": rows[(page - 1) * size:page * size]}

    def delete(self, fields, _mail):
        job = self._job(fields)

        def commit():
            job.is_deleted = True
            return {}
        return {}, commit

    def check(self, fields, mail):
        email = fields.get("email")
        if not isinstance(email, str) or not email:
            raise Failure("Missing required parameter 'email'")
        mail.to = [email]
        cost = 0 if verdict_of(email) == "unknown" else 1
        self._demand_credits(cost)
        row = describe_row(email)["verification"]
        body = {**row, "retry_token": ""}
        if is_set(fields, "credits_info"):
            body["credits_info"] = self._credits_info()

        def commit():
            self._charge(cost)
            return {"credits": cost}
        return body, commit

    def info(self, _fields, _mail):
        states = [job.state() for job in self.jobs.values()]
        counts = {"completed": states.count("complete"),
                  "under_review": states.count("under_review"),
                  "queued": states.count("queued"), "processing": states.count("running")}
        return {"credits_info": self._credits_info(), "job_counts": counts}, None


CALLS = {
    "jobs/create": NeverBounce.create, "jobs/parse": NeverBounce.parse,
    "jobs/start": NeverBounce.start, "jobs/status": NeverBounce.status,
    "jobs/results": NeverBounce.results, "jobs/search": NeverBounce.search,
    "jobs/delete": NeverBounce.delete, "single/check": NeverBounce.check,
    "account/info": NeverBounce.info,
}


def read_fields(request):
    fields = dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True))
    if not request.body:
        return fields
    if "urlencoded" in request.headers.get("content-type", ""):
        fields.update(urllib.parse.parse_qsl(request.body.decode("utf-8", "replace")))
        return fields
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise Failure("The request is not valid JSON") from error
    if not isinstance(document, dict):
        raise Failure("The request is not a JSON object")
    fields.update(document)
    return fields


def read_input(items):
    """Addresses of a list of objects or of arrays."""
    if not isinstance(items, list) or not items:
        raise Failure("Missing required parameter 'input'")
    emails = []
    for item in items:
        email = item.get("email") if isinstance(item, dict) else \
            item[-1] if isinstance(item, list) and item else None
        if not isinstance(email, str):
            raise Failure("Invalid value for 'input'")
        emails.append(email)
    return emails


def is_set(fields, name):
    return fields.get(name) in (True, 1, "1", "true")


def number_of(fields, name, default=None):
    try:
        return int(fields.get(name, default))
    except (TypeError, ValueError) as error:
        raise Failure(f"Missing required parameter '{name}'") from error


def verdict_of(email):
    local = email.lower().partition("@")[0]
    if "@" not in email:
        return "invalid"
    return next((word for word in VERDICTS if local.startswith(word)), "valid")


def describe_row(email):
    flags = ["has_dns", "has_dns_mx"] if "@" in email else ["bad_syntax"]
    return {"data": {"email": email},
            "verification": {"result": verdict_of(email), "flags": flags,
                             "suggested_correction": ""}}
