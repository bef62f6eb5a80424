"""The findings of all sections: plain sentences, then the numbers that they rest on."""

from analysis.page.section import headlines, section

section(
    folder=__name__,
    name="findings",
    title="Findings",
    order=40,
    data=headlines,
)
