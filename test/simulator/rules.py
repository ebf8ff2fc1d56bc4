"""Fault rules: which request gets which misbehaviour.

A rule belongs to one stage, given by its action: some faults strike before
the mail is known (`connect`, `start`, `head`), all others after the body was
read (`body`).  At each stage the first rule of that stage that matches wins.
"""

import random
import re

ACCEPT_VALUES = (True, False, "before", "end")
EARLY_STAGES = {
    ("hang", "accept"): "connect",
    ("reset", "accept"): "connect",
    ("hang", "headers"): "start",
    ("reset", "before_read"): "start",
    ("hang", "body"): "head",
    ("reset", "mid_body"): "head",
}
CHOICES = {
    "hang": ("accept", "headers", "body", "before_status", "after_status"),
    "reset": ("accept", "before_read", "mid_body", "after_read", "after_status", "mid_answer"),
    "close": ("after_read",),
    "garbage": ("nul", "surrogate", "ff", "deep", "bigexp", "emoji", "empty", "html",
                "not_http", "nulbytes"),
    "accept": ACCEPT_VALUES,
    "only_reused": (True, False),
}
OBJECTS = {
    "drip": {"part", "bytes_per_s"},
    "huge": {"bytes", "chunked", "endless", "headers", "header_bytes", "content_length_lie"},
    "redirect": {"status", "location"},
    "headers": None,
}
OTHERS = {"status": int, "body": object, "body_base64": str, "delay": (int, float),
          "hold": str, "gzip_bomb": int}
RULE_KEYS = {"name", "provider", "match", "count", "skip", "every", "probability", "action"}
MATCH_KEYS = {"rf_job", "to", "subject", "call"}


class RuleError(Exception):
    """The rule makes no sense; the text says why."""


class Rule:
    """One rule with its counters."""

    def __init__(self, spec, number):
        if not isinstance(spec, dict):
            raise RuleError("a rule is a JSON object")
        unknown = set(spec) - RULE_KEYS
        if unknown:
            raise RuleError(f"unknown keys in rule: {sorted(unknown)}")
        self.name = spec.get("name") or f"rule-{number}"
        self.provider = spec.get("provider")
        self.match = spec.get("match") or {}
        self.count = spec.get("count")
        self.skip = spec.get("skip") or 0
        self.every = spec.get("every") or 1
        self.probability = spec.get("probability")
        self.action = spec.get("action")
        check_action(self.action)
        self.stage = stage_of(self.action)
        self.patterns = self._compile()
        self.seen = 0
        self.applied = 0

    def _compile(self):
        unknown = set(self.match) - MATCH_KEYS
        if unknown:
            raise RuleError(f"unknown keys in match: {sorted(unknown)}")
        if self.match and self.stage != "body":
            raise RuleError("this fault strikes before the mail is known: "
                            "it cannot match on rf_job, to or subject; use skip and count")
        try:
            return {key: re.compile(text) for key, text in self.match.items()}
        except (re.error, TypeError) as error:
            raise RuleError(f"bad pattern: {error}") from error

    def _fits(self, provider, mail, reused):
        if self.provider is not None and self.provider != provider:
            return False
        if self.action.get("only_reused") and not reused:
            return False
        for key, pattern in self.patterns.items():
            values = mail.to if key == "to" else (getattr(mail, key),)
            if not any(pattern.search(value) for value in values if value is not None):
                return False
        return True

    def claims(self, provider, mail, reused):
        """Does the rule apply to this request?  Counts the request if it fits."""
        if self.count is not None and self.applied >= self.count:
            return False
        if not self._fits(provider, mail, reused):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.seen - self.skip - 1) % self.every != 0:
            return False
        if self.probability is not None and random.random() >= self.probability:
            return False
        self.applied += 1
        return True

    def describe(self):
        return {"name": self.name, "provider": self.provider, "match": self.match,
                "count": self.count, "skip": self.skip, "every": self.every,
                "probability": self.probability, "action": self.action,
                "stage": self.stage, "seen": self.seen, "applied": self.applied}


class RuleBook:
    """The ordered list of rules."""

    def __init__(self):
        self.rules = []
        self.number = 0

    def add(self, spec, providers):
        self.number += 1
        rule = Rule(spec, self.number)
        if rule.provider is not None and rule.provider not in providers:
            raise RuleError(f"no provider {rule.provider!r}, there are {sorted(providers)}")
        if any(other.name == rule.name for other in self.rules):
            raise RuleError(f"a rule named {rule.name!r} is already there")
        self.rules.append(rule)
        return rule

    def clear(self):
        count = len(self.rules)
        self.rules.clear()
        return count

    def remove(self, name):
        before = len(self.rules)
        self.rules = [rule for rule in self.rules if rule.name != name]
        return before - len(self.rules)

    def pick(self, stage, provider, mail=None, reused=False):
        for rule in self.rules:
            if rule.stage == stage and rule.claims(provider, mail, reused):
                return rule
        return None


def stage_of(action):
    """The stage at which an action strikes."""
    for key in ("hang", "reset"):
        stage = EARLY_STAGES.get((key, action.get(key)))
        if stage is not None:
            return stage
    return "body"


def check_action(action):
    """Refuse what would silently do nothing: a test must not pass by a typing error."""
    if not isinstance(action, dict) or not action:
        raise RuleError("a rule needs an action object")
    for key, value in action.items():
        if key in CHOICES:
            # 1 == True in Python, but {"accept": 1} is a mistake worth telling.
            if not any(value is choice or (isinstance(value, str) and value == choice)
                       for choice in CHOICES[key]):
                raise RuleError(f"{key} is one of {list(CHOICES[key])}")
        elif key in OBJECTS:
            _check_object(key, value, OBJECTS[key])
        elif key in OTHERS:
            if not isinstance(value, OTHERS[key]) or isinstance(value, bool):
                raise RuleError(f"{key} has the wrong type")
        else:
            raise RuleError(f"unknown action {key!r}")
    if action.get("accept") in ("before", "end") and "hold" not in action:
        raise RuleError("accept before/end goes with hold")
    if stage_of(action) != "body" and set(action) - {"hang", "reset", "only_reused"}:
        raise RuleError("a fault before the body combines with nothing else")
    if not 100 <= action.get("status", 200) <= 999:
        raise RuleError("status is a number from 100 to 999")


def _check_object(key, value, allowed):
    if not isinstance(value, dict):
        raise RuleError(f"{key} is an object")
    if allowed is not None and set(value) - allowed:
        raise RuleError(f"unknown keys in {key}: {sorted(set(value) - allowed)}")
    if key == "drip" and (value.get("part") not in ("headers", "body") or
                          not isinstance(value.get("bytes_per_s"), (int, float)) or
                          value["bytes_per_s"] <= 0):
        raise RuleError("drip needs part headers|body and bytes_per_s above 0")
