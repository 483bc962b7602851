"""Retrains a tumour classifier every day and deploys it when it beats the one in production.

    extract -> validate -> train_* (three models, side by side) -> choose_best -> deploy or keep -> notify

The data is the breast cancer set that scikit-learn ships, so nothing is downloaded. Tasks may run on workers that share
no disk: each training task loads and splits the data for itself, always in the same way, and only figures travel
between tasks, as XComs.

Training goes to the queue ``ml`` and takes slots of the pool ``ml_training``; two slots let two models train at a time.
The production score is kept in the variable ``ml_retraining_production``.
"""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.sdk import DAG, Variable, task
from airflow.sdk.exceptions import AirflowFailException

MODELS = ("logistic_regression", "random_forest", "gradient_boosting")
PRODUCTION = "ml_retraining_production"
SEED = 20260101
#: A new model must be better by this much, or the change is not worth it.
LEAST_GAIN = 0.002


def load() -> tuple[Any, Any]:
    """Return the features and the labels of the data set."""
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True, as_frame=True)


def validate(ti: Any) -> dict[str, Any]:
    """Check what was extracted. Bad data does not get better by trying again, so there is no retry."""
    summary = ti.xcom_pull(task_ids="extract")
    problems = []
    if summary["rows"] < 500:
        problems.append(f"only {summary['rows']} rows")
    if summary["missing_values"]:
        problems.append(f"{summary['missing_values']} missing values")
    if min(summary["class_counts"].values()) < 0.2 * summary["rows"]:
        problems.append(f"classes out of balance: {summary['class_counts']}")
    if problems:
        raise AirflowFailException("data refused: " + "; ".join(problems))
    print(f"{summary['rows']} rows with {summary['features']} features are fit for training")
    return {"fingerprint": summary["fingerprint"], "rows": summary["rows"]}


def make_model(name: str) -> Any:
    """Build an untrained model."""
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "logistic_regression":
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=500, random_state=SEED))
    if name == "random_forest":
        return RandomForestClassifier(n_estimators=60, max_depth=8, random_state=SEED)
    return GradientBoostingClassifier(n_estimators=40, max_depth=2, random_state=SEED)


def train(name: str, ti: Any) -> dict[str, Any]:
    """Train one model and measure it on data that it has not seen."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
    from sklearn.model_selection import train_test_split

    features, labels = load()
    if fingerprint(features) != ti.xcom_pull(task_ids="validate")["fingerprint"]:
        raise AirflowFailException("this worker has other data than the one that was validated")
    train_x, test_x, train_y, test_y = train_test_split(
        features, labels, test_size=0.25, stratify=labels, random_state=SEED
    )
    started = time.perf_counter()
    model = make_model(name).fit(train_x, train_y)
    seconds = time.perf_counter() - started
    predicted = model.predict(test_x)
    result = {
        "model": name,
        "accuracy": round(float(accuracy_score(test_y, predicted)), 4),
        "f1": round(float(f1_score(test_y, predicted)), 4),
        "auc": round(float(roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])), 4),
        "train_rows": len(train_x),
        "seconds": round(seconds, 3),
    }
    print(f"{name}: accuracy {result['accuracy']}, F1 {result['f1']}, AUC {result['auc']} in {seconds:.2f} s")
    return result


def fingerprint(features: Any) -> str:
    """Tell data sets apart by their content."""
    import hashlib

    return hashlib.sha256(features.to_csv(index=False).encode()).hexdigest()[:16]


def choose_best(ti: Any) -> str:
    """Pick the winner of this run and decide whether it replaces the model in production."""
    results = [ti.xcom_pull(task_ids=f"train_{name}") for name in MODELS]
    best = max(results, key=lambda result: (result["f1"], result["auc"]))
    production = json.loads(Variable.get(PRODUCTION, default="{}"))
    best["production_f1"] = production.get("f1", 0.0)
    ti.xcom_push(key="best", value=best)
    print(f"best of this run: {best['model']} with F1 {best['f1']}; in production: F1 {best['production_f1']}")
    return "deploy" if best["f1"] >= best["production_f1"] + LEAST_GAIN else "keep"


with DAG(
    dag_id="ml_retraining",
    description="Retrain three models a day on scikit-learn's breast cancer data, deploy the best",
    schedule="@daily",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-science",
        "retries": 2,
        "retry_delay": datetime.timedelta(seconds=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": datetime.timedelta(minutes=5),
        "execution_timeout": datetime.timedelta(minutes=10),
    },
    tags=["example", "ml"],
    doc_md=__doc__,
):

    @task
    def extract() -> dict[str, Any]:
        """Load the data and describe it."""
        features, labels = load()
        return {
            "rows": len(features),
            "features": features.shape[1],
            "missing_values": int(features.isna().sum().sum()),
            "class_counts": {str(label): int(count) for label, count in labels.value_counts().items()},
            "fingerprint": fingerprint(features),
        }

    validated = PythonOperator(task_id="validate", python_callable=validate)

    trained = [
        PythonOperator(
            task_id=f"train_{name}",
            python_callable=train,
            op_kwargs={"name": name},
            queue="ml",
            pool="ml_training",
        )
        for name in MODELS
    ]

    chosen = BranchPythonOperator(task_id="choose_best", python_callable=choose_best)

    @task
    def deploy(ti: Any = None, ds: Any = None) -> str:
        """Write the model card and remember the score."""
        best = ti.xcom_pull(task_ids="choose_best", key="best")
        card = Path("model_card.json")
        card.write_text(json.dumps({"deployed": ds, "data": "breast cancer, Wisconsin", **best}, indent=2))
        Variable.set(PRODUCTION, json.dumps({"model": best["model"], "f1": best["f1"], "since": ds}))
        print(f"model card:\n{card.read_text()}")
        return f"{best['model']} deployed"

    keep = BashOperator(
        task_id="keep",
        bash_command=(
            "echo 'the model in production stays: F1 "
            "{{ ti.xcom_pull(task_ids=\"choose_best\", key=\"best\")[\"production_f1\"] }}'"
        ),
    )

    notify = BashOperator(
        task_id="notify",
        bash_command=(
            "echo 'retraining of {{ ds }} is done: "
            "{{ ti.xcom_pull(task_ids=\"choose_best\", key=\"best\")[\"model\"] }} was best with F1 "
            "{{ ti.xcom_pull(task_ids=\"choose_best\", key=\"best\")[\"f1\"] }}, "
            "{{ ti.xcom_pull(task_ids=\"deploy\") or \"production was kept\" }}'"
        ),
        trigger_rule="none_failed_min_one_success",
    )

    extract() >> validated >> trained >> chosen >> [deploy(), keep] >> notify
