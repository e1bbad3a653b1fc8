"""Train, test and serve classifiers of chest X-rays on Apache Spark."""

__version__ = "0.1.0"
