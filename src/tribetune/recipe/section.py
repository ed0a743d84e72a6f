"""What every part of a recipe is made of: frozen sections and the kinds of numbers in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
WholeSeconds = Annotated[float, Field(gt=0, multiple_of=1)]
Label = Annotated[str, Field(coerce_numbers_to_str=True)]


class Section(BaseModel):
    """A part of a recipe: frozen, and a misspelt key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
