"""What Spark's own pages tell of its jobs."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import SparkSession


def spark_jobs() -> dict[int, str | None]:
    """Number and description of the jobs of the session that is there."""
    spark = SparkSession.getActiveSession()
    if spark is None:
        return {}
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    jobs = context.statusStore().jobsList(None)
    found = (jobs.apply(i) for i in range(jobs.size()))
    # Py4J passes None as Java's null, which Scala's getOrElse would call.
    return {job.jobId(): job.description().get() if job.description().isDefined() else None for job in found}


def spark_plans() -> list[str]:
    """The plans of what the session that is there has run, as its event log and its pages show them."""
    spark = SparkSession.getActiveSession()
    assert spark is not None
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    executions = spark._jsparkSession.sharedState().statusStore().executionsList()
    return [executions.apply(i).physicalPlanDescription() for i in range(executions.size())]


def undescribed(jobs: Iterable[str | None]) -> list[str | None]:
    """Of the descriptions of jobs, those that do not say what radspark is at; Spark itself says when it lists files."""
    descriptions = list(jobs)
    assert descriptions, "there are jobs"
    return [text for text in descriptions if not (text or "").startswith(("radspark", "Listing leaf files"))]
