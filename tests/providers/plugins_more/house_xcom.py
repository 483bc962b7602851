"""An XCom backend as people write them: large values go to files, the XCom names the file."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

PREFIX = "file-xcom://"


class FileXCom(BaseXCom):
    @staticmethod
    def serialize_value(value: Any, **kwargs: Any) -> Any:
        path = os.path.join(os.environ["HOUSE_XCOMS"], f"{uuid.uuid4()}.json")
        with open(path, "w") as file:
            json.dump({"value": BaseXCom.serialize_value(value), "task": kwargs.get("task_id")}, file)
        return BaseXCom.serialize_value(PREFIX + path)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        path = BaseXCom.deserialize_value(result)
        if not (isinstance(path, str) and path.startswith(PREFIX)):
            return path
        with open(path.removeprefix(PREFIX)) as file:
            stored = json.load(file)["value"]

        class Stored:
            value = stored

        return BaseXCom.deserialize_value(Stored)
