"""Every line of the tables: its target exists where its package is installed, and the old name gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE_DIR = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PACKAGE_DIR))

from tradewind_guest.compat import table  # noqa: E402

CHECK = """
import importlib, importlib.util, json, sys, warnings
from pathlib import Path
from tradewind_guest import environment
environment.isolate(Path(sys.argv[1]))
from tradewind_guest import compat
compat.install()
from tradewind_guest.compat import table
warnings.simplefilter("ignore")
def is_there(module):
    parts = module.split(".")
    return any(find(".".join([*parts[:end], "get_provider_info"])) for end in range(3, len(parts)))
def find(name):
    try:
        return importlib.util.find_spec(name)
    except ImportError:
        return None
wrong, served, absent = [], 0, 0
for path in sorted(table.TABLES.glob("*.txt")):
    for line in table.lines(path):
        old = f"{line.module}:{line.name}"
        if line.target.gone:
            try:
                getattr(importlib.import_module(line.module), line.name or "Anything")
                wrong.append(f"{old} is gone, and was given")
            except ImportError as error:
                # Gone, or its package is not there: a made-up module is made within real ones only.
                if line.target.say not in str(error) and "airflow.providers" not in str(error):
                    wrong.append(f"{old}: {error}")
            continue
        try:
            found = importlib.import_module(line.target.module)
        except (ImportError, RuntimeError) as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else "a library of its own"
            if missing.startswith(("airflow.", "tradewind_guest.")) and not missing.startswith("airflow.providers."):
                wrong.append(f"{old}: target {line.target.module}: {error}")
            elif isinstance(error, ImportError) and "cannot import name" in str(error):
                wrong.append(f"{old}: target {line.target.module}: {error}")
            absent += 1
            continue
        if "airflow.providers." in line.module and not is_there(line.module):
            absent += 1
            continue
        if line.name is not None:
            found = getattr(found, line.target.name)
            if getattr(importlib.import_module(line.module), line.name) is not found:
                wrong.append(f"{old} gives something else than {line.target.say}")
        else:
            importlib.import_module(line.module)
        served += 1
print(json.dumps({"wrong": wrong, "served": served, "absent": absent}))
"""


def run(script: str, tmp_path: Path) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(PACKAGE_DIR)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_every_line(tmp_path: Path) -> None:
    result = json.loads(run(CHECK, tmp_path))
    assert result["wrong"] == []
    assert result["served"] > 200


def test_no_name_stands_twice() -> None:
    seen: set[tuple[str, str | None]] = set()
    for path in sorted(table.TABLES.glob("*.txt")):
        for line in table.lines(path):
            assert (line.module, line.name) not in seen, f"{path.name}: {line.module}:{line.name}"
            seen.add((line.module, line.name))


@pytest.mark.parametrize(
    ("text", "message"),
    [("airflow.a airflow.b", "expected 'old = new'"), ("airflow.a:x = airflow.b", "a name must become a name")],
)
def test_a_line_that_makes_no_sense(tmp_path: Path, text: str, message: str) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text(f"[topic]\n{text}\n")
    with pytest.raises(ValueError, match=rf"bad\.txt, line 2: {message}"):
        list(table.lines(bad))
