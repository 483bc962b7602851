"""Functions of ``airflow.configuration`` that are methods of its ``conf`` now."""

from __future__ import annotations

from airflow.configuration import conf

get = conf.get
getboolean = conf.getboolean
getfloat = conf.getfloat
getint = conf.getint
getsection = conf.getsection
has_option = conf.has_option
remove_option = conf.remove_option
as_dict = conf.as_dict
set_ = conf.set
