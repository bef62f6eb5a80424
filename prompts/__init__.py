"""What is asked: prompts as files, rendered as chat messages or as plain text.

>>> import prompts
>>> prompts.load("few_shot_cot", shots=1).text("Bo has 2 cups and buys 3. How many?")[-51:]
'Question: Bo has 2 cups and buys 3. How many?\nAnswer:'
"""

from __future__ import annotations

from prompts.errors import PromptError
from prompts.exemplar import Exemplar
from prompts.library import exemplar_sets, load, names
from prompts.template import Template

__all__ = ["Exemplar", "PromptError", "Template", "exemplar_sets", "load", "names"]
