"""``airflow.utils.json.AirflowJsonEncoder``."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any


class AirflowJsonEncoder(json.JSONEncoder):
    """Writes dates, decimals, sets and numbers of numpy, too."""

    def default(self, o: Any) -> Any:
        """Turn a value that JSON does not know into one that it knows."""
        if isinstance(o, datetime):
            return o.strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(o, date):
            return o.strftime("%Y-%m-%d")
        if isinstance(o, Decimal):
            return int(o) if o == o.to_integral_value() else float(o)
        if isinstance(o, (set, frozenset)):
            return list(o)
        if hasattr(o, "tolist"):  # An array or a number of numpy.
            return o.tolist()
        return super().default(o)
