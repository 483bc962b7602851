"""cncf.kubernetes: the pod that would be asked for. tests/acceptance runs pods."""

from __future__ import annotations

import json
from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task
from kubernetes.client import ApiClient, V1ResourceRequirements

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "nobody"}}],
    "current-context": "none",
    "users": [{"name": "nobody", "user": {}}],
}

with DAG("kubernetes", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    arguments = {
        "name": "pi-{{ dag.dag_id }}",
        "namespace": "jobs",
        "image": "perl:{{ var.value.perl }}",
        "cmds": ["perl"],
        "arguments": ["-e", "print '{{ dag.dag_id }}'"],
        "env_vars": {"DAG": "{{ dag.dag_id }}"},
        "labels": {"team": "{{ task.owner }}"},
        "container_resources": V1ResourceRequirements(requests={"cpu": "100m"}),
        "in_cluster": False,
        "config_file": "kubeconfig",
    }

    @task.short_circuit
    def no_cluster() -> bool:
        return False

    no_cluster() >> [
        KubernetesPodOperator(task_id="pod", **arguments),
        KubernetesJobOperator(task_id="job", backoff_limit=2, **arguments),
    ]

    @task
    def specs(**context) -> dict:
        with open("kubeconfig", "w") as file:
            json.dump(KUBECONFIG, file)
        pod, job = (context["dag"].get_task(task_id) for task_id in ("pod", "job"))
        for operator in (pod, job):
            operator.render_template_fields(context)
        plain = ApiClient().sanitize_for_serialization
        return {
            "pod": plain(pod.build_pod_request_obj(context)),
            "job": plain(job.build_job_request_obj(context)),
        }

    specs()
