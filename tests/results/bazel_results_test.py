#!/usr/bin/env python3
"""How `./test` counts what Bazel ran: a verdict that Bazel gave is never lost or invented."""
import json
import os
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import bazel_results  # noqa: E402
import junit  # noqa: E402

LABEL = "//some:some_test"
XML = ('<testsuites><testsuite><testcase name="a" classname="S" status="run"/>'
       '<testcase name="off" classname="S" status="notrun"/>'
       '<testcase name="b" classname="S" status="run">{}</testcase></testsuite></testsuites>')


class Counting(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quorate results ")
        self.addCleanup(shutil.rmtree, self.folder)
        self.outputs, self.events = [], []

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def output(self, name, text):
        uri = "file://" + self.write(name, text).replace(" ", "%20")
        self.outputs.append({"name": name, "uri": uri})

    def count(self, verdict):
        if verdict:
            self.events = [{"id": {"testResult": {"label": LABEL}},
                            "testResult": {"testActionOutput": self.outputs, "status": verdict}},
                           {"id": {"testSummary": {"label": LABEL}},
                            "testSummary": {"overallStatus": verdict}}]
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        return bazel_results.count_cases([LABEL], self.write("events", lines + '{"id": {"cut'))

    def test_the_cases_of_the_xml_are_counted_without_those_not_run(self):
        self.output("test.xml", XML.format(""))
        self.assertEqual(self.count("PASSED"), (2, 0, []))

    def test_a_failing_case_is_named(self):
        self.output("test.xml", XML.format("<failure/>"))
        self.assertEqual(self.count("FAILED"), (1, 1, ["S.b"]))

    def test_a_cached_result_without_its_xml_is_counted_by_its_log(self):
        self.output("test.log", "[==========] ran\n[  PASSED  ] 14 tests.\n")
        self.assertEqual(self.count("PASSED"), (14, 0, []))

    def test_a_cached_result_that_says_nothing_is_one_case(self):
        self.output("test.log", "fine\n")
        self.output("test.xml", "<testsuites>")
        self.assertEqual(self.count("PASSED"), (1, 0, []))

    def test_a_target_that_fails_beyond_its_cases_fails(self):
        # A leak that the sanitizer reports at exit, a time-out after the last case.
        self.output("test.xml", XML.format(""))
        self.assertEqual(self.count("TIMEOUT"), (2, 1, [f"{LABEL}: TIMEOUT"]))

    def test_a_failure_without_an_xml_says_so(self):
        self.assertEqual(self.count("FAILED"), (0, 1, [f"{LABEL}: FAILED, no test.xml"]))

    def test_a_target_that_was_never_run_fails(self):
        self.assertEqual(self.count(None), (0, 1, [f"{LABEL}: no verdict, no test.xml"]))
        self.assertEqual(bazel_results.count_cases([LABEL], self.folder + "/absent")[:2], (0, 1))


if __name__ == "__main__":
    junit.main(sys.modules[__name__])
