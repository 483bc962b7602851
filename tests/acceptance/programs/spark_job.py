"""The application of 001_spark.py: notes how it was called, and lets Spark add some numbers."""

import json
import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
total = spark.range(1, 101).groupBy().sum("id").collect()[0][0]
with open("/tmp/spark_job.json", "w") as file:
    json.dump({"arguments": sys.argv[1:], "memory": spark.conf.get("spark.executor.memory"), "total": total}, file)
spark.stop()
