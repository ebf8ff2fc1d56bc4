"""Mailgun: POST /v3/{domain}/messages."""

import email.utils
import json
import re
import time
import urllib.parse

from http_connection import Answer
from provider import Mail, Verdict, basic_credentials, nginx_too_large, random_id

SEND_PATH = re.compile(r"/v3/([^/]+)/messages/?\Z")
ADDRESS = re.compile(r"[^\s@<>,;\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z")
PARAMETER = re.compile(r';\s*([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
CONTENT_FIELDS = ("text", "html", "amp-html", "template")
OPTION_LIMIT = 16 * 1024
MAX_RECIPIENTS = 1000
JSON_TYPE = {"Content-Type": "application/json"}


class FormError(Exception):
    """The body is not the form its Content-Type says."""


class Mailgun:
    """One region: the domains it knows are all it delivers for."""

    body_limit = 25 * 1024 * 1024

    def __init__(self, name, key, domains):
        self.name = name
        self.key = key
        self.domains = set(domains)

    def error(self, status, message=None):
        if status == 401:
            return Answer(401, {"Content-Type": "text/plain; charset=utf-8"}, b"Forbidden")
        text = message or ERROR_TEXTS.get(status, "something is wrong")
        return Answer(status, JSON_TYPE, json.dumps({"message": text}).encode())

    def too_large(self):
        return nginx_too_large()

    def garble(self, text):
        return b'{"id":' + text + b',"message":' + text + b"}"

    def examine(self, request):
        mail = Mail()
        match = SEND_PATH.match(request.path)
        if not match or request.method != "POST":
            # A wrong path does not fail: the trap for whoever looks at the status only.
            return Verdict(mail, Answer(200, {"Content-Type": "text/plain; charset=utf-8"},
                                        b"Mailgun Magnificent API"))
        try:
            fields = read_form(request)
        except FormError as error:
            return Verdict(mail, self.error(400, str(error)))
        collect_facts(fields, mail)
        if basic_credentials(request) != ("api", self.key):
            return Verdict(mail, self.error(401))
        domain = urllib.parse.unquote(match.group(1)).lower()
        if domain not in self.domains:
            return Verdict(mail, self.error(404, f"Domain not found: {domain}"))
        problem = find_problem(fields, mail)
        if problem is not None:
            return Verdict(mail, self.error(400, problem))
        sandbox = fields.get("o:testmode", [""])[-1].lower() in ("yes", "true")
        body = {"id": f"<{time.strftime('%Y%m%d%H%M%S')}.{random_id()}@{domain}>",
                "message": "Queued. Thank you."}
        return Verdict(mail, Answer(200, JSON_TYPE, json.dumps(body).encode()),
                       taken=True, sandbox=sandbox)


ERROR_TEXTS = {
    400: "a parameter is wrong",
    403: "the domain is disabled",
    404: "Domain not found",
    429: "Domain is not allowed to send: account-requests-per-sec limit exceeded, "
         "try again after 1 seconds",
    500: "Internal Server Error",
    503: "service unavailable",
}


def collect_facts(fields, mail):
    for kind in ("to", "cc", "bcc"):
        for value in fields.get(kind, []):
            mail.to.extend(split_addresses(value))
    mail.subject = fields.get("subject", [None])[-1]
    mail.custom_args = {name[2:]: values[-1] for name, values in fields.items()
                        if name.startswith("v:")}
    mail.rf_job = mail.custom_args.get("rf_job")
    mail.extra["attachments"] = len(fields.get("attachment", [])) + len(fields.get("inline", []))


def split_addresses(value):
    if "," not in value and "<" not in value:
        return [value.strip()]
    return [address for _, address in email.utils.getaddresses([value]) if address]


def find_problem(fields, mail):
    """The first thing the real one would complain about, or None."""
    for name in ("from", "to"):
        if not any(value.strip() for value in fields.get(name, [])):
            return f"{name} parameter is missing"
    senders = split_addresses(fields["from"][-1])
    if len(senders) != 1 or not ADDRESS.match(senders[0]):
        return "from parameter is not a valid address"
    if not mail.to or not all(ADDRESS.match(address) for address in mail.to):
        return "to parameter is not a valid address"
    if len(mail.to) > MAX_RECIPIENTS:
        return "too many recipients"
    if not any(value for name in CONTENT_FIELDS for value in fields.get(name, [])):
        return "at least one of text, html, amp-html and template is needed"
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogateescape"))
               for name, values in fields.items() if name[:2] in ("o:", "h:", "v:", "t:")
               for value in values)
    if size > OPTION_LIMIT:
        return "o:, h:, v: and t: parameters are longer than 16 KB"
    if len(fields.get("o:tag", [])) > 10:
        return "at most 10 tags"
    return None


def read_form(request):
    """name -> list of values; an attachment's value is its file name."""
    kind = request.headers.get("content-type", "")
    media = kind.partition(";")[0].strip().lower()
    if media == "application/x-www-form-urlencoded":
        try:
            return urllib.parse.parse_qs(request.body.decode("ascii"), keep_blank_values=True,
                                         errors="surrogateescape")
        except ValueError as error:
            raise FormError("bad urlencoded body") from error
    if media == "multipart/form-data":
        boundary = parameters(kind).get("boundary")
        if not boundary:
            raise FormError("multipart boundary is missing")
        return read_multipart(request.body, boundary.encode("latin-1"))
    raise FormError("Content-Type is not a form")


def parameters(header):
    """The parameters of a Content-Type or Content-Disposition value."""
    found = {}
    for name, quoted, plain in PARAMETER.findall(header):
        # Quotation marks come escaped with a backslash or as %22.
        found[name.lower()] = re.sub(r"\\(.)", r"\1", quoted).replace("%22", '"') or plain
    return found


def read_multipart(body, boundary):
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise FormError("multipart body without its closing boundary")
    fields = {}
    for piece in pieces[1:-1]:
        padding, line_end, part = piece.partition(b"\r\n")
        if padding.strip(b" \t") or not line_end:
            raise FormError("bad multipart boundary line")
        head, blank, value = (b"\r\n" + part).partition(b"\r\n\r\n")
        if not blank:
            raise FormError("multipart part without a blank line")
        name, file_name = part_names(head)
        if name in ("attachment", "inline"):
            if not file_name:
                continue            # the real one drops it without a word
            text = file_name
        else:
            text = value.decode("utf-8", "surrogateescape")
        fields.setdefault(name, []).append(text)
    return fields


def part_names(head):
    for line in head.decode("utf-8", "surrogateescape").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            found = parameters(value)
            if "name" in found:
                return found["name"], found.get("filename")
    raise FormError("multipart part without a name")
