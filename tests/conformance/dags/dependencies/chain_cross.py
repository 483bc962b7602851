"""chain, chain_linear, cross_downstream and the shift operators make the same edges."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain, chain_linear, cross_downstream

with DAG("chain_cross", schedule=None):
    a, b, c, d, e, f, g, h = (EmptyOperator(task_id=name) for name in "abcdefgh")
    chain(a, [b, c], [d, e], f)
    cross_downstream([b, c], [g, h])
    i, j, k, m = (EmptyOperator(task_id=name) for name in "ijkm")
    chain_linear([g, h], [i, j], k)
    k >> m
    m << f
