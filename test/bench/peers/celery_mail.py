"""Celery with Redis; the commands of common.mjs.

celery_mail.py fill COUNT | enqueue SECONDS | paced RATE COUNT
python3 -m celery --app celery_mail worker ...     sends what waits (MAIL_URL)

No result is kept, nothing is announced, and a worker has as many requests in
flight as its pool has threads, over kept-alive connections.
"""

import json
import os
import sys
import time

import celery
import celery.signals
import urllib3

app = celery.Celery("celery_mail", broker="redis+socket://" + os.environ["REDIS_SOCKET"])
app.conf.update(task_ignore_result=True, task_acks_late=False, worker_prefetch_multiplier=8,
                worker_send_task_events=False, broker_pool_limit=10,
                task_serializer="json", worker_disable_rate_limits=True)

url = os.environ.get("MAIL_URL", "")
pool = urllib3.HTTPConnectionPool("127.0.0.1", int(url.rsplit(":", 1)[1]), maxsize=1000,
                                  retries=False) if url else None
HEADERS = {"Authorization": "Bearer SG.test-key", "Content-Type": "application/json"}


@app.task(name="mail")
def send(job):
    """One request to the provider."""
    document = {"personalizations": [{"to": [{"email": job["to"]}],
                                      "custom_args": {"rf_job": f"0123456789abcdef.{job['n']}"}}],
                "from": {"email": job["from"]}, "subject": job["subject"],
                "content": [{"type": "text/html", "value": job["html"]}]}
    answer = pool.urlopen("POST", "/v3/mail/send", body=json.dumps(document, separators=(",", ":")),
                          headers=HEADERS)
    if answer.status != 202:
        raise RuntimeError(f"status {answer.status}")


@celery.signals.worker_ready.connect
def say_ready(**_):
    """It waits for mails."""
    print("ready", flush=True)


def mails(first, count):
    """The mails as they are queued."""
    with open(os.environ["BODIES"], encoding="ascii") as file:
        texts = [line.rstrip("\n").split("\t", 1)[1] for line in file]
    for number in range(first, first + count):
        yield {"n": number, "from": os.environ["SENDER"], "to": f"lead{number}@example.net",
               "subject": f"Hello number {number}", "html": texts[number % len(texts)]}


def fill(count):
    """All of them, over one connection."""
    with app.producer_pool.acquire(block=True) as producer:
        for job in mails(1, count):
            send.apply_async((job,), producer=producer)


def enqueue(seconds):
    """One after the other; prints how many a second."""
    jobs = list(mails(1, 1000))
    send.apply_async((jobs[0],))
    count = 0
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        send.apply_async((jobs[count % len(jobs)],))
        count += 1
    print(count / (time.monotonic() - started))


def paced(rate, count):
    """At a rate; prints each one's number and when it was in Redis, in us."""
    lines = []
    started = time.monotonic()
    for job in mails(1, count):
        time.sleep(max(0, started + job["n"] / rate - time.monotonic()))
        send.apply_async((job,))
        lines.append(f"{job['n']} {time.time_ns() // 1000}")
    print("\n".join(lines))


if __name__ == "__main__":
    {"fill": fill, "enqueue": enqueue, "paced": paced}[sys.argv[1]](*map(int, sys.argv[2:]))
