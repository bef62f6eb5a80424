"""Questions by kind: a panel each, one mark a question."""

from analysis.page.kinds import kind_panels
from analysis.page.section import section

section(
    folder=__name__,
    name="by-kind",
    title="Questions by kind",
    navigation="Kinds",
    order=20,
    downloads=["agreement", "questions"],
    data=kind_panels,
)
