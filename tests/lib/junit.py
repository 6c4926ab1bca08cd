# SPDX-License-Identifier: Apache-2.0
"""Reports of tests in JUnit's form: counted, and joined to one."""
import collections
import re
import xml.etree.ElementTree as ElementTree


def _parse(path):
    try:
        return ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        raise ValueError("no report was written") from None


def count(path):
    """(passed, failed, skipped, what was skipped and why). A cmocka program is as many tests as it
    says that it has. ValueError: there is no report."""
    total, skipped_names = collections.Counter(), []
    for case in _parse(path).iter("testcase"):
        name = case.get("name")
        out = case.findtext("system-out") or ""
        inner = {word: sum(map(int, re.findall(rf"\[  {word} *\] (\d+) test\(s\)", out)))
                 for word in ("PASSED", "SKIPPED", "FAILED")}
        missing = case.get("status") == "notrun" \
            and not case.find("skipped").get("message", "").startswith("SKIP_")
        if missing or case.find("failure") is not None or case.find("error") is not None:
            total["failed"] += max(1, inner["FAILED"])
            total["passed"] += inner["PASSED"]
        elif case.find("skipped") is not None:
            total["skipped"] += 1
            skipped_names.append(f"{name}: {case.find('skipped').get('message')}")
        else:
            total["passed"] += inner["PASSED"] if inner["PASSED"] + inner["SKIPPED"] else 1
            total["skipped"] += inner["SKIPPED"]
            skipped_names += [name] if inner["SKIPPED"] else []
    return total["passed"], total["failed"], total["skipped"], skipped_names


def _suites(path):
    try:
        return list(_parse(path).iter("testsuite"))
    except ValueError as why:
        suite = ElementTree.Element("testsuite", tests="1", errors="1")
        case = ElementTree.SubElement(suite, "testcase", name="report")
        ElementTree.SubElement(case, "error", message=str(why))
        return [suite]


def join(reports, path):
    """Of REPORTS, {name: path}, one with a suite for each. One that is missing is a suite with an
    error."""
    joined = ElementTree.Element("testsuites")
    for name, report in sorted(reports.items()):
        for suite in _suites(report):
            suite.set("name", name)
            joined.append(suite)
    ElementTree.ElementTree(joined).write(path, encoding="utf-8", xml_declaration=True)
