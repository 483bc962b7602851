"""Tests of the suite itself: they need neither Airflow nor Tradewind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
import compare  # noqa: E402
from normalize import normalize  # noqa: E402

CASES = cases.all_cases()


def outcome(state: str = "success", **more: object) -> dict:
    run = {"run_id": "run_1", "logical_date": None, "state": state, **more}
    return {"dags": {"a": {"paused": False, "runs": [run]}}}


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cases.Case:
    """A case with a golden of its own."""
    monkeypatch.setattr(cases, "GOLDENS", tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(outcome()))
    return cases.Case("a", "area", tmp_path / "a.py", "title", [])


def judge(case: cases.Case, seen: dict, listed: list[compare.Listed]) -> tuple[compare.Verdict, int]:
    verdict = compare.judge(case, seen, "", 0.0, listed)
    return verdict, compare.conclude([verdict], listed, {case.name})


def test_what_agrees_agrees(case: cases.Case) -> None:
    verdict, code = judge(case, outcome(), [])
    assert (verdict.word, code) == ("agrees", 0)


def test_a_difference_fails_and_says_where(case: cases.Case) -> None:
    verdict, code = judge(case, outcome("failed"), [])
    assert (verdict.word, code) == ("DIFFERS", 1)
    assert [str(found) for found in verdict.differences] == [
        'dags.a.runs.run_1.state: airflow "success", tradewind "failed"'
    ]


@pytest.mark.parametrize("value", [True, 1.0, None, [1]])
def test_what_only_looks_alike_differs(case: cases.Case, value: object) -> None:
    case.golden.write_text(json.dumps(outcome(number=1)))
    assert judge(case, outcome(number=value), [])[1] == 1


def test_what_is_missing_and_what_is_too_much_differ(case: cases.Case) -> None:
    assert judge(case, {"dags": {}}, [])[1] == 1
    assert judge(case, {**outcome(), "journal": ["more"]}, [])[1] == 1


def test_a_listed_difference_passes_and_must_occur(case: cases.Case) -> None:
    verdict, code = judge(case, outcome("failed"), [compare.Listed("a", "dags.*.state", "because")])
    assert (verdict.word, code) == ("agrees*", 0)
    assert judge(case, outcome(), [compare.Listed("a", "dags.*.state", "because")])[1] == 1
    assert judge(case, outcome(), [compare.Listed("other", "dags.*.state", "because")])[1] == 0


def test_a_case_that_breaks_down_or_has_no_golden_fails(case: cases.Case) -> None:
    broken = compare.judge(case, None, "did not end", 0.0, [])
    assert compare.conclude([broken], [], {"a"}) == 1
    case.golden.unlink()
    assert judge(case, outcome(), [])[1] == 1


def test_only_what_a_clock_or_chance_made_is_normalized() -> None:
    fixed = ["2026-01-01T00:00:00+00:00", "2098-01-01T00:00:00+00:00", "20260101T000000", 7, 1.5, "run_1"]
    assert normalize(fixed) == fixed
    assert normalize("manual__2026-11-21T15:00:00.123456+00:00_aB3dE6gH") == "manual__<now>_<random>"
    assert normalize({"2026-11-21 15:00:00+00:00": 1795273200.5}) == {"<now>": "<now>"}
    assert normalize("x /here/a.py", {"/here": "<dags>"}) == "x <dags>/a.py"


def test_every_case_has_a_golden_and_every_golden_a_case() -> None:
    assert {case.golden.name for case in CASES} == {path.name for path in cases.GOLDENS.glob("*.json")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_golden_has_the_dags_of_its_case_and_something_happened_in_it(case: cases.Case) -> None:
    golden = json.loads(case.golden.read_text())
    assert set(golden["dags"]) == set(case.dag_ids)
    assert golden.get("steps") or any(dag["runs"] for dag in golden["dags"].values())


def test_differences_are_of_known_cases_and_give_reasons() -> None:
    names = {case.name for case in CASES}
    assert {entry.dag for entry in compare.load_listed()} <= names


def test_the_readme_lists_the_cases() -> None:
    done = subprocess.run([sys.executable, HERE / "readme.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
