"""Hunter: GET /v2/domain-search, with its refusals the other way round."""

import json
import urllib.parse

from http_connection import Answer
from people import firm_of, staff
from provider import Mail, Verdict

JSON_TYPE = {"Content-Type": "application/json"}
LEVELS = {"entry": "junior", "intern": "junior", "senior": "senior", "manager": "senior",
          "head": "senior"}


class Hunter:
    """A search costs a credit for each ten e-mails that it gives."""

    body_limit = 64 * 1024

    def __init__(self, name, key, credits):
        self.name = name
        self.key = key
        self.credits = credits

    def error(self, status, message=None):
        """403 is a rate limit, 429 the end of the credit."""
        name, text = ERRORS.get(status, ("error", "something is wrong"))
        body = {"errors": [{"id": name, "code": status, "details": message or text}]}
        return Answer(status, JSON_TYPE, json.dumps(body).encode())

    def too_large(self):
        return self.error(413)

    def garble(self, text):
        return b'{"data":{"domain":' + text + b',"emails":[{"value":' + text + b"}]}}"

    def examine(self, request):
        mail = Mail()
        if request.path != "/v2/domain-search":
            return Verdict(mail, self.error(404))
        mail.call = "domain-search"
        if request.method != "GET":
            return Verdict(mail, self.error(405))
        query = dict(urllib.parse.parse_qsl(request.query))
        if request.headers.get("x-api-key", query.get("api_key")) != self.key:
            return Verdict(mail, self.error(401))
        try:
            limit, offset = int(query.get("limit", 10)), int(query.get("offset", 0))
        except ValueError:
            return Verdict(mail, self.error(400))
        domain = query.get("domain", "")
        if "." not in domain or not 1 <= limit <= 100 or offset < 0:
            return Verdict(mail, self.error(400))
        mail.to = [domain]
        levels = [word for word in query.get("seniority", "").split(",") if word]
        found = [person for person in staff(domain.lower()) if person.email is not None and
                 (not levels or LEVELS.get(person.seniority, "executive") in levels)]
        shown = found[offset:offset + limit]
        cost = -(-len(shown) // 10)
        if cost > self.credits:
            return Verdict(mail, self.error(429))
        body = {"data": {"domain": domain, "organization": firm_of(domain),
                         "emails": [describe(person) for person in shown]},
                "meta": {"results": len(found), "limit": limit, "offset": offset}}
        return Verdict(mail, Answer(200, JSON_TYPE, json.dumps(body).encode()), taken=True,
                       commit=lambda: self._charge(cost))

    def _charge(self, cost):
        self.credits -= cost
        return {"credits": cost}


ERRORS = {
    400: ("wrong_params", "You are missing the domain parameter"),
    401: ("authentication_failed", "No user found for the API key supplied"),
    403: ("too_many_requests", "You have reached the rate limit"),
    404: ("not_found", "The requested resource does not exist"),
    405: ("not_allowed", "The method is not allowed"),
    429: ("too_many_requests", "You've reached the limit for the number of searches per billing "
                               "period included in your plan."),
    451: ("claimed_email", "The person has asked us not to process their data"),
}


def describe(person):
    status = "valid" if person.status == "verified" else "accept_all"
    return {"value": person.email, "type": "personal", "confidence": 94,
            "first_name": person.first, "last_name": person.last, "position": person.title,
            "seniority": LEVELS.get(person.seniority, "executive"),
            "linkedin": person.linkedin, "sources": [],
            "verification": {"date": "2026-01-05", "status": status}}
