"""What radspark calls a finding, whatever a table calls it: the aliases between public label sets, all in one place."""

from __future__ import annotations

from collections.abc import Mapping

ALIASES: Mapping[str, str] = {
    "Aortic elongation": "Aortic_Elongation",
    "Clavicle fracture": "Clavicle_Fracture",
    "Hiatal hernia": "Hernia",
    "Hernia, Hiatal": "Hernia",
    "Infiltrate": "Infiltration",
    "Infiltrates": "Infiltration",
    "Nodule/Mass": "Nodule_or_Mass",
    "Other diseases": "Other_Disease",
    "Pleural Effusion": "Effusion",
    "Pulmonary Atelectasis": "Atelectasis",
    "Pulmonary Edema": "Edema",
    "Pulmonary Emphysema": "Emphysema",
    "Pulmonary Fibrosis": "Fibrosis",
    "Pulmonary Mass": "Mass",
    "Rib fracture": "Rib_Fracture",
}
"""A published name to ours, where more differs than capitals and spaces. NIH's 14 names are ours."""

_BY_LOWER_CASE = {
    **{published.lower(): ours for published, ours in ALIASES.items()},
    **{ours.replace("_", " ").lower(): ours for ours in ALIASES.values()},
}


def finding_name(published: str) -> str:
    """Our name of a finding: an alias, else the words with capitals and underscores (`Lung opacity`: `Lung_Opacity`).

    A name of ours stays as it is.
    """
    words = published.replace("_", " ").split()
    alias = _BY_LOWER_CASE.get(" ".join(words).lower())
    return alias or "_".join(word[:1].upper() + word[1:] for word in words)
