"""Trigger rule all_done_setup_success over every mix of upstream states."""

from airflow.sdk import DAG
from conformance_tools import every_mix

with DAG("rule_all_done_setup_success", schedule=None):
    every_mix("all_done_setup_success")
