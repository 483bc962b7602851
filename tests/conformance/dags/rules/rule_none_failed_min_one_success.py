"""Trigger rule none_failed_min_one_success over every mix of upstream states."""

from airflow.sdk import DAG
from conformance_tools import every_mix

with DAG("rule_none_failed_min_one_success", schedule=None):
    every_mix("none_failed_min_one_success")
