"""Who is at this GitHub: people, organizations, tokens, and the troubles that a test switches on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

State = Literal["active", "pending"]


@dataclass
class Account:
    """A person; the login changes hands, the id does not."""

    id: int
    login: str
    name: str = ""
    email: str = ""
    email_is_public: bool = False
    suspended: bool = False


@dataclass
class Organization:
    """An organization.

    Attributes
    ----------
    members, public
        Account ids; the second's membership everybody sees.
    teams
        Account ids by the team's slug.
    app_approved
        Whether its owners have approved the OAuth app.
    sso
        Whether it wants single sign-on, which no token here has passed.
    """

    id: int
    login: str
    members: dict[int, State] = field(default_factory=dict)
    public: set[int] = field(default_factory=set)
    teams: dict[str, set[int]] = field(default_factory=dict)
    app_approved: bool = True
    sso: bool = False

    @property
    def hidden(self) -> bool:
        """Whether the app sees nothing of it but its public page."""
        return self.sso or not self.app_approved


@dataclass(frozen=True)
class App:
    """The OAuth app, as it is registered."""

    client_id: str
    client_secret: str
    callback: str


@dataclass(frozen=True)
class Token:
    """What a token stands for."""

    account_id: int
    scopes: frozenset[str]
    fine_grained: bool = False


@dataclass(frozen=True)
class Code:
    """What somebody has agreed to, until it is exchanged for a token."""

    account_id: int
    scopes: frozenset[str]
    redirect_uri: str
    challenge: str


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with requests whose path begins so.

    Attributes
    ----------
    kind
        `down`: 502. `limited`: 403 with no requests left. `secondary`: 429 with Retry-After.
        `malformed`: 200 with a page. `half`: 200 with an object that lacks nearly everything.
        `hang`: no answer until the trouble is over. `hangup`: the connection is closed without one.
    """

    kind: Literal["down", "limited", "secondary", "malformed", "half", "hang", "hangup"]
    path: str = "/api/v3"


class World:
    """All of it. Tests change it while the server runs."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.accounts: dict[int, Account] = {}
        self.organizations: dict[int, Organization] = {}
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, Code] = {}
        self.issued: list[str] = []
        """Every token and code there ever was: what must be found in no log."""
        self.trouble: Trouble | None = None
        self.pause = 0.0
        """Seconds that every answer takes."""
        self.granted: frozenset[str] | None = None
        """The scopes that people grant, whatever is asked for; None: what is asked for."""
        self._last_id = 1_000_000

    def next_id(self) -> int:
        """Give a new id: accounts and organizations share one sequence."""
        self._last_id += 1
        return self._last_id

    def add_account(self, login: str, account_id: int = 0, **fields: str) -> Account:
        """Add a person; the login has to be free."""
        assert self.find_account(login) is None, f"{login} is taken"
        account = Account(account_id or self.next_id(), login, **fields)  # type: ignore[arg-type]
        self.accounts[account.id] = account
        return account

    def add_organization(self, login: str, *members: Account, **teams: list[Account]) -> Organization:
        """Add an organization with members and teams."""
        organization = Organization(self.next_id(), login, {account.id: "active" for account in members})
        organization.teams = {slug: {account.id for account in team} for slug, team in teams.items()}
        self.organizations[organization.id] = organization
        return organization

    def find_account(self, login: str) -> Account | None:
        """Find a person; capitals do not count."""
        return next((one for one in self.accounts.values() if one.login.lower() == login.lower()), None)

    def find_organization(self, login: str) -> Organization | None:
        """Find an organization; capitals do not count."""
        return next((one for one in self.organizations.values() if one.login.lower() == login.lower()), None)

    def memberships(self, account: Account, *states: State) -> list[Organization]:
        """List the organizations where somebody is a member in one of these states, by id."""
        everywhere = sorted(self.organizations.values(), key=lambda one: one.id)
        return [one for one in everywhere if one.members.get(account.id) in states]

    def rename(self, account: Account, login: str) -> None:
        """Change a login; the old one is free from now on."""
        assert self.find_account(login) is None, f"{login} is taken"
        account.login = login

    def revoke_tokens(self, account: Account) -> None:
        """Revoke what somebody has granted."""
        self.tokens = {value: token for value, token in self.tokens.items() if token.account_id != account.id}

    def issue_token(self, account: Account, *scopes: str, fine_grained: bool = False) -> str:
        """Make a token."""
        value = f"{'github_pat' if fine_grained else 'gho'}_{secrets.token_hex(18)}"
        self.issued.append(value)
        self.tokens[value] = Token(account.id, frozenset(scopes), fine_grained)
        return value

    def issue_code(self, code: Code) -> str:
        """Make a code, good for one exchange."""
        value = secrets.token_hex(10)
        self.issued.append(value)
        self.codes[value] = code
        return value
