"""Synthetic chest radiographs in NIH's layout: drawn anatomy with the 14 findings, for demos and tests without data."""

from radspark.datasets.phantom.writer import PhantomSummary, write_phantom_dataset

__all__ = ["PhantomSummary", "write_phantom_dataset"]
