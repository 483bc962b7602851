"""Airflow 2 names, arguments and context keys on top of the Airflow 3 that is installed.

Three parts, all put in force by :func:`install`, once, before the first DAG file is read:

- ``tables/*.txt`` say which old module or name is which new one; :mod:`.redirects` serves them to ``import``.
- :mod:`.arguments` renames arguments of DAGs and operators; :mod:`.context` adds the removed context keys.
- what has no counterpart of its own in Airflow 3 is a few lines in :mod:`.lib`.

Nothing here is looked at by a file that uses modern names only: an import that succeeds never reaches the tables, and
an argument that is known is never translated. ``docs/airflow-2.md`` lists what is covered.
"""

from __future__ import annotations

_installed = False


def install() -> None:
    """Put the layer in force in this process and all that it forks. A second call does nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    from tradewind_guest.compat import arguments, context, dag_methods, models, options, patches, redirects

    redirects.install()
    arguments.install()
    context.install()
    models.install()
    options.install()
    patches.install()
    dag_methods.install()
