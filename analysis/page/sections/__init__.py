"""The project's sections of the page, one folder each; `analysis.page.section` finds them here."""
