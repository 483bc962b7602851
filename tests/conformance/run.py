"""Runs cases on Airflow (writing goldens) or on Tradewind (comparing with goldens). See README.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cases import DAGS, Case, CaseError, all_cases
from driver import Driver
from scenario import STOPPING, Scenario


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conformance.sh", description=__doc__)
    parser.add_argument("--regenerate", action="store_true", help="run Airflow and write goldens, instead of comparing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases or areas; all by default")
    parser.add_argument("-k", action="append", default=[], metavar="NAME", help="the same, as an option")
    parser.add_argument("-j", "--jobs", type=int, default=6, help="cases driven at once [default: 6]")
    parser.add_argument("--keep", type=Path, help="write the outcomes seen into this folder, too")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on how long steps may wait [default: 1]")
    return parser.parse_args()


def drive(case: Case, driver: Driver, patience: float) -> tuple[dict[str, Any] | None, str, float]:
    """Outcome, or what went wrong; and the seconds that it took."""
    began = time.monotonic()
    try:
        return Scenario(case, driver, patience).run(), "", time.monotonic() - began
    except Exception as error:  # noqa: BLE001 - one broken case must not end the others
        trouble = "".join(traceback.format_exception(error)[-3:])
        return None, f"{type(error).__name__}: {error}\n{trouble}", time.monotonic() - began


def each(cases: list[Case], jobs: int, action: Callable[[Case], Any]) -> Iterator[tuple[Case, Any]]:
    """Does something to every case, several at once, and answers in their order. When it is left early, nothing waits."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from zip(cases, pool.map(action, cases))
    finally:
        STOPPING.set()
        pool.shutdown(wait=False, cancel_futures=True)


def install(cases: list[Case], driver: Driver) -> None:
    """All DAG files, and the modules beside them, into the system's DAG folder."""
    driver.dags.mkdir(parents=True, exist_ok=True)
    for module in DAGS.glob("*.py"):
        shutil.copyfile(module, driver.dags / module.name)
    for case in cases:
        Scenario(case, driver).install()


def dump(outcome: dict[str, Any]) -> str:
    return json.dumps(outcome, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def undisturbed(case: Case, driver: Any) -> tuple[dict[str, Any] | None, str, float]:
    """As `drive`, again when Airflow lost a race against itself that has nothing to do with the DAG."""
    for attempt in range(4):
        if attempt:
            # Late reports about the last attempt must not be taken for reports about this one.
            time.sleep(10)
        outcome, trouble, seconds = drive(case, driver, 2.0)
        races = driver.races(case)
        if not races:
            return outcome, trouble, seconds
    return None, f"Airflow confused its executor's reports about {races} each time", seconds


def regenerate(cases: list[Case], jobs: int) -> int:
    from airflow_driver import AirflowDriver
    from airflow_server import AirflowServer

    folder = Path(os.environ["CONFORMANCE_FOLDER"])
    dags, journal = folder / "dags", folder / "journal"
    server = AirflowServer(
        folder / "airflow",
        Path(os.environ["TRADEWIND_AIRFLOW_VENV"]),
        os.environ["TRADEWIND_TEST_POSTGRES_URL"],
        dags,
        journal,
    )
    driver = AirflowDriver(server, dags, journal)
    install(cases, driver)
    failed = 0
    try:
        driver.start()
        for case, (outcome, trouble, seconds) in each(cases, jobs, lambda c: undisturbed(c, driver)):
            if outcome is None:
                failed += 1
                print(f"FAILED  {case.name} ({seconds:.0f} s): {trouble}", flush=True)
                continue
            before = case.golden.read_text() if case.golden.exists() else None
            case.golden.parent.mkdir(exist_ok=True)
            case.golden.write_text(dump(outcome))
            word = "new" if before is None else "same" if before == dump(outcome) else "CHANGED"
            print(f"{word:8}{case.name} ({seconds:.0f} s)", flush=True)
    finally:
        driver.stop()
    print(f"{len(cases) - failed} goldens written, {failed} failed")
    return 1 if failed else 0


def main() -> int:
    # So that what was started is stopped again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = arguments()
    try:
        cases = all_cases([*args.names, *args.k])
    except CaseError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    if args.regenerate:
        return regenerate(cases, args.jobs)
    from compare import compare_all

    return compare_all(cases, args.jobs, args.keep, args.patience)


if __name__ == "__main__":
    sys.exit(main())
