"""Runs unittest cases and reports each of them to Bazel (XML_OUTPUT_FILE)."""
import os
import sys
import time
import unittest
from xml.sax.saxutils import escape, quoteattr


class _Result(unittest.TextTestResult):
    """Keeps (name, seconds, failure text or None) of every case."""

    def __init__(self, *args):
        super().__init__(*args)
        self.rows = []
        self._started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def _add(self, test, failure=None):
        self.rows.append((test.id(), time.monotonic() - self._started, failure))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._add(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._add(test, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self._add(test, self._exc_info_to_string(err, test))


def _write(path, rows):
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites><testsuite name=\"e2e\">"]
    for name, seconds, failure in rows:
        lines.append(f"<testcase name={quoteattr(name)} time=\"{seconds:.2f}\">")
        if failure:
            lines.append(f"<failure>{escape(failure)}</failure>")
        lines.append("</testcase>")
    lines.append("</testsuite></testsuites>")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


def main(module):
    """Runs all cases of a module; does not return."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2, resultclass=_Result).run(suite)
    if path := os.environ.get("XML_OUTPUT_FILE"):
        _write(path, result.rows)
    sys.exit(0 if result.wasSuccessful() else 1)
