"""What every simulated provider has in common.

A provider is an object with

    name            its name in journal lines, rules and simulator.json
    body_limit      longest request body in bytes
    examine(request)    -> Verdict: what the mail is and how it would be answered
    error(status)       -> Answer in the provider's own error shape
    too_large()         -> Answer to a body beyond the limit
    garble(text)        -> body of a success answer around a JSON text (see faults.py)

examine() changes nothing that costs or lasts: whether a request counts as
taken is decided later, because a rule may refuse it or destroy the answer.
What it changes then is the verdict's commit().
"""

import base64
import binascii
import secrets

from http_connection import Answer

NGINX_413 = (b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n"
             b"<body>\r\n<center><h1>413 Request Entity Too Large</h1></center>\r\n"
             b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n")


class Mail:
    """The facts of a mail, or of a lookup, that rules match and the journal keeps."""

    def __init__(self):
        self.to = []
        self.subject = None
        self.custom_args = {}
        self.rf_job = None
        self.call = None            # of a lookup: "bulk_match", "jobs/create", ...
        self.extra = {}             # further journal fields of the body line


class Verdict:
    """How the provider would treat the request if no rule interferes."""

    def __init__(self, mail, answer, taken=False, sandbox=False, commit=None):
        self.mail = mail
        self.commit = commit        # called when it is taken: what it changes at the
                                    # provider; returns fields for the journal
        self.answer = answer
        self.taken = taken          # becomes an `accepted` line
        self.sandbox = sandbox      # checked but not to be delivered


def nginx_too_large():
    return Answer(413, {"Content-Type": "text/html"}, NGINX_413)


def random_id():
    """22 url-safe characters."""
    return secrets.token_urlsafe(16)


def basic_credentials(request):
    """User and password of an Authorization: Basic header, or None."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None
