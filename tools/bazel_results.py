"""What `bazel test` says of its targets, and how many cases were in each.

Bazel's own verdict comes from the events it writes (--build_event_json_file). The cases
come from a target's test.xml; Bazel does not track that file, so a result that it has
cached may come without one: then the cases come from the log, which it does track.
"""
import json
import os
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree

# What googletest prints at its end.
PASSED_IN_LOG = re.compile(r"^\[  PASSED  \] (\d+) tests?\.$", re.MULTILINE)


def read_events(path):
    """(verdict by label, paths of the files of each label by their names) of one `bazel test`."""
    verdicts, files = {}, {}
    if not os.path.exists(path):
        return verdicts, files
    with open(path, encoding="utf-8") as f:
        for line in f:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:  # Bazel ended in the middle of a line
                continue
            name = event.get("id", {})
            if "testSummary" in name and "testSummary" in event:
                verdicts[name["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
            if "testResult" in name and "testResult" in event:
                files[name["testResult"]["label"]] = {
                    output["name"]: urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
                    for output in event["testResult"].get("testActionOutput", [])
                    if output.get("uri", "").startswith("file:")}
    return verdicts, files


def cases_in_xml(path):
    """(passed, failing names) of a test.xml, or a sentence saying why it cannot be read."""
    try:
        suites = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        return "no test.xml"
    except (ElementTree.ParseError, OSError) as error:
        return f"test.xml: {error}"
    passed, failing = 0, []
    for case in suites.iter("testcase"):
        if case.get("status") == "notrun":
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            failing.append(f"{case.get('classname', '')}.{case.get('name', '')}")
        else:
            passed += 1
    return passed, failing


def cases_in_log(path):
    """How many cases of a target that passed, by its log; one if the log does not say."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            found = PASSED_IN_LOG.findall(f.read())
    except OSError:
        found = []
    return int(found[-1]) if found else 1


def count_cases(labels, events):
    """(passed, failed, failing names) of `labels`, of which `events` is the path.

    A target counts as failed at least once unless Bazel says that it passed."""
    verdicts, files = read_events(events)
    passed, names = 0, []
    for label in labels:
        verdict = verdicts.get(label, "no verdict")
        outputs = files.get(label, {})
        cases = cases_in_xml(outputs.get("test.xml", ""))
        if isinstance(cases, str):
            if verdict == "PASSED":
                passed += cases_in_log(outputs.get("test.log", ""))
            else:
                names.append(f"{label}: {verdict}, {cases}")
            continue
        passed += cases[0]
        names += cases[1]
        if verdict != "PASSED" and not cases[1]:
            names.append(f"{label}: {verdict}")
    return passed, len(names), names
