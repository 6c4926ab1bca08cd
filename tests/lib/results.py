# SPDX-License-Identifier: Apache-2.0
"""What a stage of the checks came to."""
import collections

Result = collections.namedtuple("Result", "passed failed skipped note", defaults=(0, 0, 0, ""))


def one(ok, note=""):
    return Result(passed=int(bool(ok)), failed=int(not ok), note=note)


def add_up(results):
    return Result(*(sum(r[i] for r in results) for i in range(3)),
                  "; ".join(r.note for r in results if r.note))


def settle(result, code):
    """A run that found nothing to do, or that ended badly without saying which test, has failed."""
    if result.passed + result.failed == 0:
        return result._replace(failed=1, note=result.note or "no test ran")
    if code != 0 and result.failed == 0:
        return result._replace(failed=1, note=f"exit code {code}")
    return result
