"""SendGrid: POST /v3/mail/send."""

import json
import re
import time

from http_connection import Answer
from provider import Mail, Verdict, nginx_too_large, random_id

ADDRESS = re.compile(r"[^\s@<>,;\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z")
RESERVED_HEADERS = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
}
MAX_RECIPIENTS = 1000
MAX_CUSTOM_ARGS = 10000
MAX_SEND_AHEAD = 72 * 3600
JSON_TYPE = {"Content-Type": "application/json"}


class Refusal(Exception):
    """A rule of the API is broken."""

    def __init__(self, field, message):
        super().__init__(message)
        self.field = field


class SendGrid:
    """Checks like the real one, as far as they are documented."""

    body_limit = 30 * 1000 * 1000

    def __init__(self, name, key):
        self.name = name
        self.key = key

    def error(self, status, message=None, field=None):
        if status == 413:
            return nginx_too_large()
        text = message or ERROR_TEXTS.get(status, "something is wrong")
        body = {"errors": [{"message": text, "field": field, "help": None}]}
        return Answer(status, JSON_TYPE, json.dumps(body).encode())

    def too_large(self):
        return nginx_too_large()

    def garble(self, text):
        return b'{"message":' + text + b"}"

    def examine(self, request):
        mail = Mail()
        answer = self._check_request(request)
        if answer is not None:
            return Verdict(mail, answer)
        try:
            document = json.loads(request.body)
        except (ValueError, RecursionError):
            return Verdict(mail, self.error(400, "Bad Request"))
        collect_facts(document, mail)
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return Verdict(mail, self.error(401))
        try:
            check_mail(document)
        except Refusal as refusal:
            return Verdict(mail, self.error(400, str(refusal), refusal.field))
        except (AttributeError, TypeError, KeyError):
            return Verdict(mail, self.error(400, "Bad Request"))
        return self._success(document, mail)

    def _check_request(self, request):
        """What is wrong before the JSON counts; None if nothing."""
        if request.path != "/v3/mail/send":
            return self.error(404)
        if request.method != "POST":
            return self.error(405)
        if "authorization" not in request.headers:
            return self.error(401, "authorization required")
        if "accept" not in request.headers:
            return self.error(406)
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return self.error(415)
        return None

    def _success(self, document, mail):
        headers = {
            "X-Message-Id": random_id(),
            "X-RateLimit-Limit": 10000,
            "X-RateLimit-Remaining": 9999,
            "X-RateLimit-Reset": int(time.time()) + 1,
        }
        settings = document.get("mail_settings") or {}
        sandbox = bool((settings.get("sandbox_mode") or {}).get("enable"))
        return Verdict(mail, Answer(200 if sandbox else 202, headers),
                       taken=not sandbox, sandbox=sandbox)


ERROR_TEXTS = {
    400: "Bad Request",
    401: "The provided authorization grant is invalid, expired, or revoked",
    403: "access forbidden",
    404: "Not Found",
    405: "method not allowed",
    406: "Accept header is missing",
    415: "Content-Type has to be application/json",
    429: "too many requests",
    500: "internal error",
    503: "service unavailable",
}


def collect_facts(document, mail):
    """Take what rules and journal need, from a document not yet checked."""
    if not isinstance(document, dict):
        return
    mail.subject = _text(document.get("subject"))
    mail.custom_args = _object(document.get("custom_args"))
    mail.extra["attachments"] = len(_list(document.get("attachments")))
    people = [_object(item) for item in _list(document.get("personalizations"))]
    for number, person in enumerate(people):
        for field in ("to", "cc", "bcc"):
            for entry in _list(person.get(field)):
                address = _text(_object(entry).get("email"))
                if address is not None:
                    mail.to.append(address)
        own = _object(person.get("custom_args"))
        if number == 0:
            mail.custom_args = {**mail.custom_args, **own}
            mail.subject = _text(person.get("subject")) or mail.subject
        elif own:
            mail.extra.setdefault("more_custom_args", []).append(own)
    mail.rf_job = _text(mail.custom_args.get("rf_job"))


def _object(value):
    return value if isinstance(value, dict) else {}


def _list(value):
    return value if isinstance(value, list) else []


def _text(value):
    return value if isinstance(value, str) else None


def check_mail(document):
    if not isinstance(document, dict):
        raise Refusal(None, "the body has to be an object")
    check_personalizations(document)
    check_sender(document)
    check_content(document)
    check_categories(document.get("categories"))
    check_headers(document.get("headers"), "headers")
    check_send_at(document.get("send_at"), "send_at")


def check_personalizations(document):
    people = document.get("personalizations")
    if not isinstance(people, list) or not people:
        raise Refusal("personalizations", "personalizations is required and needs one element")
    if len(people) > MAX_RECIPIENTS:
        raise Refusal("personalizations", "at most 1000 personalizations")
    total = 0
    for number, person in enumerate(people):
        total += check_person(document, person, f"personalizations.{number}")
    if total > MAX_RECIPIENTS:
        raise Refusal("personalizations", "at most 1000 recipients in a request")


def check_person(document, person, field):
    """One personalization; returns the number of its recipients."""
    if not isinstance(person.get("to"), list) or not person["to"]:
        raise Refusal(f"{field}.to", "to is required and needs one valid address")
    seen = set()
    for kind in ("to", "cc", "bcc"):
        for number, entry in enumerate(person.get(kind) or []):
            place = f"{field}.{kind}.{number}"
            check_address(entry, place, forbid_separators=True)
            address = entry["email"].lower()
            if address in seen:
                raise Refusal(field, "each address in to, cc and bcc has to be unique")
            seen.add(address)
    subject = person.get("subject", document.get("subject"))
    if "template_id" not in document and (not isinstance(subject, str) or not subject):
        raise Refusal("subject", "the subject is required")
    check_headers(person.get("headers"), f"{field}.headers")
    merged = dict(document.get("custom_args") or {})
    merged.update(person.get("custom_args") or {})
    check_custom_args(merged, field)
    check_send_at(person.get("send_at"), f"{field}.send_at")
    return len(seen)


def check_address(entry, field, forbid_separators=False):
    if not isinstance(entry, dict) or not isinstance(entry.get("email"), str) \
            or not ADDRESS.match(entry["email"]):
        raise Refusal(f"{field}.email", "this is not a valid address")
    name = entry.get("name", "")
    if not isinstance(name, str):
        raise Refusal(f"{field}.name", "the name has to be a string")
    if forbid_separators and (";" in name or "," in name):
        raise Refusal(f"{field}.name", "the name may contain neither ; nor ,")


def check_sender(document):
    if not isinstance(document.get("from"), dict):
        raise Refusal("from.email", "from is required: an object with an email")
    check_address(document["from"], "from")
    if not document["from"]["email"].isascii():
        raise Refusal("from.email", "the from address may not contain unicode")
    if "reply_to" in document and "reply_to_list" in document:
        raise Refusal("reply_to", "only one of reply_to and reply_to_list")
    if "reply_to" in document:
        check_address(document["reply_to"], "reply_to")
    for number, entry in enumerate(document.get("reply_to_list") or []):
        check_address(entry, f"reply_to_list.{number}")


def check_content(document):
    content = document.get("content")
    if content is None and "template_id" in document:
        return
    if not isinstance(content, list) or not content:
        raise Refusal("content", "content is required and needs one block")
    types = []
    for number, block in enumerate(content):
        kind = block.get("type")
        if not isinstance(kind, str) or not kind or "\r" in kind or "\n" in kind or ";" in kind:
            raise Refusal(f"content.{number}.type", "the content type is required")
        value = block.get("value")
        if not isinstance(value, str) or not value:
            raise Refusal(f"content.{number}.value",
                          "the content value has to be at least one character long")
        types.append(kind.lower())
    rank = {"text/plain": 0, "text/html": 1}
    order = [rank.get(kind, 2) for kind in types]
    if order != sorted(order) or order.count(0) > 1 or order.count(1) > 1:
        raise Refusal("content", "text/plain has to be first, then text/html, each once, "
                                 "then any other content")


def check_categories(categories):
    if categories is None:
        return
    if not isinstance(categories, list) or len(categories) > 10:
        raise Refusal("categories", "at most 10 categories")
    if any(not isinstance(item, str) or len(item) > 255 for item in categories):
        raise Refusal("categories", "a category is a string of at most 255 characters")
    if len(set(categories)) != len(categories):
        raise Refusal("categories", "categories have to be unique")


def check_custom_args(custom_args, field):
    if any(not isinstance(value, str) for value in custom_args.values()):
        raise Refusal(f"{field}.custom_args", "the values of custom_args have to be strings")
    size = sum(len(name.encode("utf-8", "replace")) + len(value.encode("utf-8", "replace"))
               for name, value in custom_args.items())
    if size >= MAX_CUSTOM_ARGS:
        raise Refusal(f"{field}.custom_args", "custom_args have to stay below 10000 bytes")


def check_headers(headers, field):
    for name, value in (headers or {}).items():
        if name.lower() in RESERVED_HEADERS:
            raise Refusal(f"{field}.{name}", "this header is reserved")
        if not isinstance(value, str) or "\r" in value or "\n" in value:
            raise Refusal(f"{field}.{name}", "a header value is a string of one line")
        if not name.isascii() or not name or any(char <= " " or char == ":" for char in name):
            raise Refusal(f"{field}.{name}", "this is not a header name")


def check_send_at(send_at, field):
    if send_at is None:
        return
    if not isinstance(send_at, int) or send_at > time.time() + MAX_SEND_AHEAD:
        raise Refusal(field, "send_at is a time at most 72 hours ahead")
