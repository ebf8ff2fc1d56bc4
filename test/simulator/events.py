"""Webhooks: what a provider reports of the mails it has taken, signed as it signs."""

import base64
import collections
import hashlib
import hmac
import json
import os
import re
import secrets
import subprocess
import time

from provider import random_id

KEPT = 10000
MAILGUN_KEY = "mg-signing-key"
BATCH = 1000

# Our words, and those of SendGrid and Mailgun with the members that go along.
WORDS = {
    "accepted": (("processed", {}), ("accepted", {})),
    "deferred": (("deferred", {"response": "451 later"}),
                 ("failed", {"severity": "temporary", "reason": "generic"})),
    "delivered": (("delivered", {"response": "250 OK"}), ("delivered", {})),
    "bounced": (("bounce", {"type": "bounce", "reason": "550 no such user"}),
                ("failed", {"severity": "permanent", "reason": "bounce"})),
    "blocked": (("bounce", {"type": "blocked", "reason": "452 mailbox full"}),
                ("failed", {"severity": "permanent", "reason": "old"})),
    "rejected": (("dropped", {"reason": "Bounced Address"}), ("rejected", {})),
    "opened": (("open", {"useragent": "test"}), ("opened", {})),
    "clicked": (("click", {"url": "https://example.com/"}), ("clicked", {})),
    "complained": (("spamreport", {}), ("complained", {})),
    "unsubscribed": (("unsubscribe", {}), ("unsubscribed", {})),
}


class EventError(Exception):
    """What was asked for makes no sense."""


class Events:
    """Remembers what was taken, until somebody fetches the events of it."""

    def __init__(self, directory):
        self.key = os.path.join(directory, "events.pem")
        self.taken = collections.defaultdict(lambda: collections.deque(maxlen=KEPT))

    def remember(self, provider, mail, answer):
        self.taken[provider].append((mail, message_id(answer)))

    def keys(self):
        """What a receiver verifies with."""
        if not os.path.exists(self.key):
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-out", self.key)
        public = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")
        return {"sendgrid": base64.b64encode(public).decode(), "mailgun": MAILGUN_KEY}

    def fetch(self, wish):
        """Signed requests for every mail that was taken since the last call."""
        provider = wish.get("provider")
        if provider not in ("sendgrid", "mailgun"):
            raise EventError("provider is sendgrid or mailgun")
        rules = wish.get("rules") or []
        usual = wish.get("words") or ["accepted", "delivered"]
        for words in [usual] + [rule.get("words") or [] for rule in rules]:
            if not set(words) <= set(WORDS):
                raise EventError(f"words are {sorted(WORDS)}")
        events = []
        while self.taken[provider]:
            mail, ident = self.taken[provider].popleft()
            for address in mail.to:
                words = next((rule["words"] for rule in rules
                              if re.search(rule["to"], address)), usual)
                events += [(word, address, mail, ident) for word in words]
        if provider == "mailgun":
            return [sign_mailgun(mailgun_event(*event)) for event in events]
        self.keys()
        batches = [events[start:start + BATCH] for start in range(0, len(events), BATCH)]
        return [self.sign_sendgrid([sendgrid_event(*event) for event in batch])
                for batch in batches]

    def sign_sendgrid(self, events):
        body = json.dumps(events, separators=(",", ":")).encode() + b"\r\n"
        stamp = str(int(time.time()))
        signature = openssl("dgst", "-sha256", "-sign", self.key, data=stamp.encode() + body)
        return as_request(body, {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp})


def message_id(answer):
    if "X-Message-Id" in answer.headers:
        return answer.headers["X-Message-Id"]
    try:
        return json.loads(answer.body)["id"].strip("<>")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def sendgrid_event(word, address, mail, ident):
    name, members = WORDS[word][0]
    return {**mail.custom_args, "email": address, "event": name, "timestamp": int(time.time()),
            "sg_event_id": random_id(), "sg_message_id": f"{ident}.filter0001.1.0", **members}


def mailgun_event(word, address, mail, ident):
    name, members = WORDS[word][1]
    return {"event": name, "id": random_id(), "timestamp": round(time.time(), 6),
            "recipient": address, "message": {"headers": {"message-id": ident}},
            "user-variables": mail.custom_args or [], **members}


def sign_mailgun(event):
    stamp, token = str(int(time.time())), secrets.token_hex(25)
    signature = hmac.new(MAILGUN_KEY.encode(), (stamp + token).encode(), hashlib.sha256)
    document = {"signature": {"timestamp": stamp, "token": token,
                              "signature": signature.hexdigest()}, "event-data": event}
    return as_request(json.dumps(document).encode(), {})


def as_request(body, headers):
    return {"headers": {"Content-Type": "application/json", **headers},
            "body": base64.b64encode(body).decode()}


def openssl(*arguments, data=b""):
    return subprocess.run(("openssl",) + arguments, input=data, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30).stdout
