"""The data that the seed DAGs need (F1 to F6 of seed_dags/README.md), the same at each run."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

#: Rows of transactions.csv that are younger than 90 days, and those of them that have gaps.
RECENT, GAPS = 2500, 40


def transactions(path: Path, now: datetime) -> None:
    """F1: a fraud data set with gaps, 2500 rows of the last 89 days and 1500 older ones."""
    draw = np.random.default_rng(7)
    ages = np.concatenate([draw.uniform(1, 89, RECENT), draw.uniform(91, 365, 1500)])
    frame = features(len(ages), draw)
    frame.insert(0, "date", [(now - timedelta(days=age)).strftime("%Y-%m-%d %H:%M:%S") for age in ages])
    frame.loc[draw.choice(RECENT, GAPS, replace=False), "feature2"] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)


def features(rows: int, draw: np.random.Generator) -> pd.DataFrame:
    """Three standard normal features, and a target that a forest learns to about 95 percent."""
    frame = pd.DataFrame(draw.normal(size=(rows, 3)), columns=["feature1", "feature2", "feature3"]).clip(-4, 4)
    score = 1.5 * frame["feature1"] - frame["feature2"] + 0.5 * frame["feature1"] * frame["feature3"]
    frame["target"] = (score + draw.normal(scale=0.15, size=rows) > 0.6).astype(int)
    return frame


def titanic(path: Path, *, telling: bool) -> None:
    """F3: passengers as in the Titanic set, with gaps in Age and Embarked; `telling` says whether they foretell survival."""
    draw = np.random.default_rng(1912)
    rows = 891
    frame = pd.DataFrame(
        {
            "PassengerId": range(1, rows + 1),
            "Pclass": draw.choice([1, 2, 3], rows, p=[0.24, 0.21, 0.55]),
            "Sex": draw.choice(["male", "female"], rows, p=[0.65, 0.35]),
            "Age": np.round(draw.gamma(5, 6, rows), 1),
            "SibSp": draw.choice([0, 1, 2, 3], rows, p=[0.68, 0.23, 0.05, 0.04]),
            "Parch": draw.choice([0, 1, 2], rows, p=[0.76, 0.13, 0.11]),
            "Embarked": draw.choice(["S", "C", "Q"], rows, p=[0.72, 0.19, 0.09]),
        }
    )
    frame["Fare"] = np.round(draw.gamma(2, 60 / frame["Pclass"] ** 1.5), 2)
    survives = ((frame["Sex"] == "female") & (frame["Pclass"] < 3)) | (frame["Age"] < 12)
    survives |= (frame["Sex"] == "male") & (frame["Fare"] > 150)
    chance = np.where(survives, 0.95, 0.06) if telling else np.full(rows, 0.5)
    frame["Survived"] = (draw.uniform(size=rows) < chance).astype(int)
    frame.loc[draw.choice(rows, 177, replace=False), "Age"] = np.nan
    frame.loc[draw.choice(rows, 2, replace=False), "Embarked"] = None
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)


def wine(path: Path) -> None:
    """F4: scikit-learn's wine data (178 real wines), the cultivar as their quality."""
    frame = load_wine(as_frame=True).frame.rename(columns={"target": "quality"})
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)


def landing(root: Path, day: date, *, accuracy: float) -> None:
    """F6: a day's partition, 200 rows; the weekly model is right in this share of them."""
    draw = np.random.default_rng(day.toordinal())
    feature = np.concatenate([draw.uniform(0.1, 1, 100), draw.uniform(-1, -0.1, 100)])
    target = (feature > 0).astype(int)
    wrong = draw.choice(200, round(200 * (1 - accuracy)), replace=False)
    target[wrong] = 1 - target[wrong]
    folder = root / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"feature1": feature, "target": target}).to_parquet(folder / "data.parquet")


def training(path: Path, rows: int, *, spoiled: bool = False) -> None:
    """F2, as Parquet or CSV; `spoiled` has a gap in feature1 and a target of 2."""
    frame = features(rows, np.random.default_rng(3))
    frame["feature1"] -= frame["feature1"].mean()
    if spoiled:
        frame.loc[5, "feature1"] = np.nan
        frame.loc[6, "target"] = 2
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
