"""loadtest_controls.py [FAULT..]: does wrong on purpose and demands that the load test turns red, by the right threshold.

Each fault is a short run of loadtest/smoke.js against a node of its own ($NOTIFIER). Without arguments all of them run,
and every threshold of the summary has to have had its fault.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parent.parent

# The thresholds that each fault breaks.
FAULTS = {
    "drop": {"events_lost"},
    "cut": {"events_lost"},
    "duplicate": {"events_duplicated"},
    "swap": {"events_out_of_order"},
    "stray": {"events_unasked"},
    "gap": {"gaps"},
    "hangup": {"disconnects"},
    "silent": {"events_lost", "events_received"},
    "delay": {"event_latency"},
    "late-welcome": {"connect_time"},
    "forget": {"resumes", "events_lost"},
    "absent": {"clients_done"},
    "refuse": {"publishes_refused"},
    "unanswered": {"publishes_unanswered"},
}
# A busy machine breaks these without any fault, and `checks` tells of all others once more.
OF_SPEED = {"event_latency", "connect_time"}
ALSO = OF_SPEED | {"checks"}
RED = 99  # what k6 exits with when a threshold was crossed

SIZES = {
    "CLIENTS": "24",
    "SUBJECTS": "6",
    "RATE": "20",
    "DURATION": "3",
    "STAY": "1",
    "QUIET": "2",
    "CONNECT_TIMEOUT": "8",
    "CONNECT_P95": "3000",
    "LATENCY_P95": "3000",
    "LATENCY_P99": "3000",
}
# A frame that is held back on one connection would come late, or twice, on the next one.
NOBODY_MOVES = {"MOVING_PERCENT": "0"}
SIZES_OF = {"delay": NOBODY_MOVES, "late-welcome": NOBODY_MOVES}


def run(fault, file):
    """The thresholds of a run, and whether each held."""
    environment = os.environ | SIZES | SIZES_OF.get(fault, {}) | {"SELF_CHECK": fault, "SUMMARY_JSON": file}
    ended = subprocess.run([REPO / "scripts/loadtest.sh", "smoke"], env=environment, capture_output=True, text=True)
    try:
        metrics = json.loads(pathlib.Path(file).read_text())["metrics"]
    except FileNotFoundError:
        sys.exit(f"{fault}: the run ended without a summary\n{ended.stdout}\n{ended.stderr}")
    held = {
        name: all(threshold["ok"] for threshold in metric["thresholds"].values())
        for name, metric in metrics.items()
        if metric.get("thresholds")
    }
    return ended, held


def problem(fault, ended, held):
    red = {name for name, ok in held.items() if not ok}
    if ended.returncode != RED:
        return f"ended with {ended.returncode}, not {RED}"
    if missing := FAULTS[fault] - red:
        return f"{', '.join(sorted(missing))} held"
    if more := red - FAULTS[fault] - ALSO:
        return f"also broke {', '.join(sorted(more))}"
    return None


def main():
    asked = sys.argv[1:] or list(FAULTS)
    if unknown := set(asked) - FAULTS.keys():
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}\n{__doc__}")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for fault in asked:
            ended, held = run(fault, f"{folder}/{fault}.json")
            what = problem(fault, ended, held)
            print(f"{fault}: {what or 'red by ' + ', '.join(sorted(FAULTS[fault]))}", flush=True)
            if what:
                failed = True
                print(ended.stdout, ended.stderr, sep="\n")
            if uncovered := held.keys() - set().union(*FAULTS.values()) - {"checks"}:
                sys.exit(f"no fault breaks {', '.join(sorted(uncovered))}")
    sys.exit(failed)


main()
