#!/usr/bin/env python3
"""Proves each behaviour of the simulator that the delivery tests rely on.

Run it as `python3 test/simulator/selftest.py`; it needs no other program
than openssl and takes about 15 seconds.  Names of tests can be given, such as
`selftest_faults.BreakTest.test_hang`.
"""

import sys

sys.dont_write_bytecode = True      # the tree may belong to somebody else

import tempfile
import unittest

from selftest_support import Case, Simulator

MODULES = ["selftest_providers", "selftest_lookups", "selftest_rules", "selftest_faults",
           "selftest_events"]


def main():
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:] or MODULES)
    with tempfile.TemporaryDirectory() as directory:
        Case.shared = Simulator(directory, "--eu-domain", "eu.example.com")
        try:
            result = unittest.TextTestRunner().run(suite)
        finally:
            Case.shared.stop()
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
