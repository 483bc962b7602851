"""Variables and connections as Airflow 2 gave them."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from tradewind_guest.compat import redirects, report


def install() -> None:
    """Have the modules changed when they are first imported."""
    redirects.after_import("airflow.models.variable", _change_variable)
    redirects.after_import("airflow.models.connection", _change_connection)
    redirects.after_import("airflow.sdk.bases.hook", _change_hook)
    redirects.after_import("airflow.secrets.base_secrets", _change_secrets_backend)


def _change_variable(module: Any) -> None:
    """A missing variable is a KeyError, wherever it is asked for."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

    class VariableNotFound(AirflowRuntimeError, KeyError):
        """What Airflow 2 raised and what Airflow 3 raises."""

    kind = module.Variable
    get = kind.get.__func__

    @functools.wraps(get)
    def get_or_key_error(cls: Any, key: str, *args: Any, **kwargs: Any) -> Any:
        new = "airflow.sdk.Variable.get(default=)" if args or "default_var" in kwargs else "airflow.sdk.Variable.get"
        report.use("airflow.models.Variable.get", new)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # It is in the report already.
                return get(cls, key, *args, **kwargs)
        except AirflowRuntimeError as error:
            if error.error.error != ErrorType.VARIABLE_NOT_FOUND:
                raise
            missing = VariableNotFound(error.error)
            missing.args = (f"Variable {key} does not exist",)
            raise missing from None

    kind.get = classmethod(get_or_key_error)


def _change_connection(module: Any) -> None:
    """A connection that is made, not asked for: the tables that its class refers to must be known first."""
    kind = module.Connection
    original = kind.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        _import_all_models()
        original(self, *args, **kwargs)

    kind.__init__ = __init__


@functools.cache
def _import_all_models() -> None:
    import airflow.models

    airflow.models.import_all_models()


def _change_hook(module: Any) -> None:
    kind = module.BaseHook
    if hasattr(kind, "get_connections"):
        return

    def get_connections(cls: Any, conn_id: str) -> list[Any]:
        """Return the one connection of that id, in a list."""
        report.use("BaseHook.get_connections", "BaseHook.get_connection", "there is one connection for an id")
        return [cls.get_connection(conn_id)]

    kind.get_connections = classmethod(get_connections)


def _change_secrets_backend(module: Any) -> None:
    """Backends written for Airflow 2 have ``get_conn_uri``, and callers ask for ``get_connections``."""
    kind = module.BaseSecretsBackend
    value = kind.get_conn_value

    @functools.wraps(value)
    def get_conn_value(self: Any, conn_id: str, *args: Any, **kwargs: Any) -> Any:
        uri = getattr(type(self), "get_conn_uri", None)
        return uri(self, conn_id) if uri is not None else value(self, conn_id, *args, **kwargs)

    def get_connections(self: Any, conn_id: str) -> list[Any]:
        """Return the one connection of that id, in a list."""
        found = self.get_connection(conn_id=conn_id)
        return [found] if found else []

    kind.get_conn_value = get_conn_value
    if not hasattr(kind, "get_connections"):
        kind.get_connections = get_connections
