"""What the settings of site.toml are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

ORGANIZATION = re.compile(r"[a-z0-9][a-z0-9-]*(:[a-z0-9_][a-z0-9._-]*)?", re.IGNORECASE)
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# How a value stands in a variable, where it is not as `rendering.render` writes it anyway.
Form = Literal["plain", "on-off", "spaces"]


class Table(BaseModel):
    """A table of site.toml: what it does not know it refuses, and nothing is taken for something else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Secret(Table):
    """Where a secret is: never the secret."""

    file: Annotated[str, StringConstraints(min_length=1)] | None = Field(None, description="the path of a file")
    environment: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="the name of a variable of the environment"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.file is None) == (self.environment is None):
            raise ValueError("not one")
        return self


SECRET = '{ file = "PATH" } or { environment = "NAME" }'  # noqa: S105  (how one is given)


def required(wanted: str, variable: str = "", **limits: Any) -> Any:
    """Declare a setting that has to be there.

    Parameters
    ----------
    wanted
        What is wanted, for who gave something else.
    variable
        The component's variable that it becomes; none: it becomes something else.
    limits
        pydantic's.
    """
    return Field(description=wanted, json_schema_extra={"variable": variable, "form": "plain"}, **limits)


def optional(wanted: str, variable: str = "", form: Form = "plain", **limits: Any) -> Any:
    """Declare a setting that need not be there: what is left out is the component's own default."""
    return Field(None, description=wanted, json_schema_extra={"variable": variable, "form": form}, **limits)


def check_organization(text: str) -> str:
    """Take `org` or `org:team`."""
    if not ORGANIZATION.fullmatch(text):
        raise ValueError("neither")
    return text


def check_admin(found: Any) -> Any:
    """Take a GitHub id or `org:team`."""
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise ValueError("neither")
    if isinstance(found, int):
        if found < 1:
            raise ValueError("no id")
    elif not found.isdigit() and ":" not in check_organization(found):
        raise ValueError("a login")
    return found


def check_host(text: str) -> str:
    """Take a host's name without a port."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", text) or re.fullmatch(r"[^:]*:[0-9]+", text):
        raise ValueError("not such a name")
    return text


def check_name(text: str) -> str:
    """Take a DNS name in lower case."""
    if len(text) > 253 or not re.fullmatch(rf"{LABEL}(\.{LABEL})*", text):
        raise ValueError("not such a name")
    return text


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\n\r]*\S[^\n\r]*$")]
Host = Annotated[str, AfterValidator(check_host)]
Name = Annotated[str, AfterValidator(check_name)]
DnsLabel = Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[^\s?#]*)?$")]
ServiceUrl = Annotated[str, StringConstraints(pattern=r"^http://[A-Za-z0-9.-]+:[0-9]+$")]
Organization = Annotated[str, AfterValidator(check_organization)]
Admin = Annotated[Any, AfterValidator(check_admin)]
