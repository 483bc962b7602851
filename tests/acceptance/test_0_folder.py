"""The whole folder: what loads, what does not, and what schedules say."""

from __future__ import annotations

from expected import DAGS, WRONG
from world import OTHER_ENVIRONMENT, World


def test_every_file_loads_but_the_wrong_ones(bare: World) -> None:
    errors = {**bare.client.import_errors(), **bare.expectations.client.import_errors()}
    assert sorted(errors) == sorted(WRONG), "\n".join(f"{name}: {text}" for name, text in errors.items() if name not in WRONG)


def test_wrong_files_name_the_line_and_the_mend(bare: World) -> None:
    errors = bare.client.import_errors()
    for name, (line, wrong, meant) in WRONG.items():
        text = errors[name]
        assert f"line {line}:" in text and wrong in text and meant in text, f"{name}: {text}"


def test_dags_and_numbers_of_tasks(bare: World) -> None:
    found: dict[str, dict[str, int]] = {name: {} for name in DAGS}
    for system in (bare.system, bare.expectations):
        for dag in system.client.json("dags", "list", "--limit", "0"):
            details = system.client.json("dags", "details", dag["dag_id"])
            found.setdefault(details["fileloc"], {})[dag["dag_id"]] = details["tasks"]
    assert found == DAGS
    assert set(OTHER_ENVIRONMENT) <= set(found)
