"""The state of the simulated GitHub: accounts, organizations, tokens, and the fault that a test has set."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

State = Literal["active", "pending"]


@dataclass
class Account:
    """A user's account. The login can change, and another account can then get it. The id never changes."""

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
    members
        State of each membership, by account id.
    public
        Ids of the accounts with a public membership.
    teams
        Account ids of the members of each team, by the team's slug.
    app_approved
        Whether the owners of the organization have approved the OAuth app.
    sso
        Whether the organization requires single sign-on. No token of the simulated GitHub is authorized for it.
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
        """Whether the OAuth app can see only public data of the organization."""
        return self.sso or not self.app_approved


@dataclass(frozen=True)
class App:
    """The registration of the OAuth app."""

    client_id: str
    client_secret: str
    callback: str


@dataclass(frozen=True)
class Token:
    """The account and the scopes of a token."""

    account_id: int
    scopes: frozenset[str]
    fine_grained: bool = False


@dataclass(frozen=True)
class Code:
    """The data of a code: the account and the scopes that a user has granted at the login.

    The app exchanges the code for a token.
    """

    account_id: int
    scopes: frozenset[str]
    redirect_uri: str
    challenge: str


@dataclass(frozen=True)
class Trouble:
    """A fault that affects all requests whose path starts with `path`.

    Attributes
    ----------
    kind
        `down`: status 502. `limited`: status 403, the rate limit is used up. `secondary`: status 429 with Retry-After.
        `malformed`: status 200 with an HTML page. `half`: status 200 with an object that lacks most fields.
        `hang`: no answer until the fault ends. `hangup`: the connection is closed without an answer.
    """

    kind: Literal["down", "limited", "secondary", "malformed", "half", "hang", "hangup"]
    path: str = "/api/v3"


class World:
    """The whole state of the simulated GitHub. Tests change it while the server runs.

    Attributes
    ----------
    issued
        All tokens and codes that were ever issued, so that a test can check that no log contains them.
    trouble
        The current fault, or None without a fault.
    pause
        Delay of each answer in seconds.
    granted
        The scopes that users grant at a login. None means that users grant all requested scopes.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.accounts: dict[int, Account] = {}
        self.organizations: dict[int, Organization] = {}
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, Code] = {}
        self.issued: list[str] = []
        self.trouble: Trouble | None = None
        self.pause = 0.0
        self.granted: frozenset[str] | None = None
        self._last_id = 1_000_000

    def next_id(self) -> int:
        """Return a new id. Accounts and organizations get ids from one sequence."""
        self._last_id += 1
        return self._last_id

    def add_account(self, login: str, account_id: int = 0, **fields: str) -> Account:
        """Add an account. The login must not belong to another account."""
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
        """Return the account with this login, or None if it does not exist. The case of letters is ignored."""
        return next((account for account in self.accounts.values() if account.login.lower() == login.lower()), None)

    def find_organization(self, login: str) -> Organization | None:
        """Return the organization with this login, or None if it does not exist. The case of letters is ignored."""
        found = (each for each in self.organizations.values() if each.login.lower() == login.lower())
        return next(found, None)

    def memberships(self, account: Account, *states: State) -> list[Organization]:
        """Return the organizations in which an account has a membership with one of these states, sorted by id."""
        organizations = sorted(self.organizations.values(), key=lambda organization: organization.id)
        return [organization for organization in organizations if organization.members.get(account.id) in states]

    def rename(self, account: Account, login: str) -> None:
        """Change the login of an account. Another account may then get the old login."""
        assert self.find_account(login) is None, f"{login} is taken"
        account.login = login

    def revoke_tokens(self, account: Account) -> None:
        """Revoke all tokens of an account."""
        self.tokens = {value: token for value, token in self.tokens.items() if token.account_id != account.id}

    def issue_token(self, account: Account, *scopes: str, fine_grained: bool = False) -> str:
        """Create a token and return its value."""
        value = f"{'github_pat' if fine_grained else 'gho'}_{secrets.token_hex(18)}"
        self.issued.append(value)
        self.tokens[value] = Token(account.id, frozenset(scopes), fine_grained)
        return value

    def issue_code(self, code: Code) -> str:
        """Register a code and return its value. The app can exchange it once."""
        value = secrets.token_hex(10)
        self.issued.append(value)
        self.codes[value] = code
        return value
