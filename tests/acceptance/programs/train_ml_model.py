"""The application of 000_spark_submit.py: trains a model with Spark's own library, and notes how it was called."""

import argparse
import json

from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True)
parser.add_argument("--output", required=True)
arguments = parser.parse_args()

# pandas writes dates with nanoseconds, which Spark reads only when told to.
spark = SparkSession.builder.config("spark.sql.legacy.parquet.nanosAsLong", "true").getOrCreate()
rows = spark.read.parquet(arguments.input)
names = ["feature1", "feature2", "feature3"]
model = LogisticRegression(labelCol="target", maxIter=5).fit(VectorAssembler(inputCols=names, outputCol="features").transform(rows))
model.write().overwrite().save(arguments.output)
seen = {key: spark.conf.get(key, None) for key in ("spark.executor.memory", "spark.executor.cores", "spark.executor.instances")}
with open("/tmp/spark_model.json", "w") as file:
    json.dump({"arguments": vars(arguments), "conf": seen, "master": spark.sparkContext.master, "rows": rows.count()}, file)
print(f"trained on {rows.count()} rows")
spark.stop()
