"""How people come in by the provider: what the security managers of Superset and Airflow do alike, and what people see.

Who comes is who the ID token names, which Authlib has checked: signature, issuer, audience, nonce and expiry. Nothing
of it is kept in the session.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, NoReturn

from flask import Response, abort, get_flashed_messages, redirect, request, url_for
from flask_appbuilder import expose
from flask_login import current_user
from jinja2 import Environment, FileSystemLoader
from requests import RequestException
from sqlalchemy import event

from journeymart.sso import NAME, NOTHING, PREFIX, USER_NAME, SignOn

log = logging.getLogger(__name__)
# Instead of the hash of a password: no password is right, the provider alone opens the account.
NO_PASSWORD = "!"  # noqa: S105
_LONGEST_NAME = 64
_EMAIL = r"[^@\s\x00-\x1f\x7f]{1,100}@[^@\s\x00-\x1f\x7f]{1,100}"
_Mixin: Any = object  # into what Flask AppBuilder has
_pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)


def security_manager(sign_on: SignOn, base: Any) -> Any:
    """`base`, Superset's or Airflow's security manager, with people who come in by the provider."""

    class SignOnView(_Pages, base.authoauthview):
        tool = sign_on.tool.capitalize()

    class SignOnSecurityManager(_People, base):
        authoauthview = SignOnView
        # Administrators make local accounts still; a list without that would take the permission away from them.
        useroauthmodelview = base.userdbmodelview
        register_superset_auth_view = False  # Superset's login page has no Korean for providers
        groups_of_provider = sign_on.groups

    return SignOnSecurityManager


class _People(_Mixin):
    """Accounts of people that the provider sends."""

    groups_of_provider: dict[str, list[str]]
    auth_type_provider_name = "db"  # whose accounts programs log in with over REST

    def __init__(self, *arguments: Any) -> None:
        """As the base's; accounts that the provider opens never get a password, however people would set one."""
        super().__init__(*arguments)
        event.listen(self.user_model.password, "set", _set_password, retval=True, active_history=True)

    def set_oauth_session(self, provider: str, oauth_response: dict[str, Any]) -> None:
        """Keeps nothing: nobody asks for the tokens again, and long ones make the cookie too big for the browser."""

    def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
        """The claims of the ID token; none without one."""
        return dict(resp.get("userinfo") or {})

    def auth_user_oauth(self, userinfo: dict[str, Any], *others: Any) -> Any:
        """The account of who comes, made if there is none, with the roles that their groups decide.

        Who may do nothing gets a page that says so, and no session. Somebody's local account is not opened: its
        password says whose it is, unless it holds nothing but what grants of access may give.
        """
        name = str(userinfo.get("preferred_username") or "")
        if not re.fullmatch(USER_NAME, name):
            _refuse("name", name)
        user = self.find_user(username=name) or self._register(name, userinfo)
        held = {role.name for role in self.get_user_roles(user)}
        if user.password != NO_PASSWORD and not all(role == NOTHING or role.startswith(PREFIX) for role in held):
            _refuse("local", name)
        user.password = NO_PASSWORD
        given, decided = self._given(userinfo)
        # Those whose grants have ended are inactive; if a group gives them something again, they are not.
        user.active = user.active or (held == {NOTHING} and bool(given))
        if user.active:  # one that was switched off keeps its roles, by which it is told from those
            kept = {role.name for role in user.roles} - decided - {NOTHING}
            user.roles = self._roles(kept | given) or self._roles({NOTHING})
        self.session.commit()
        if not user.active:
            _refuse("inactive", name)
        if {role.name for role in self.get_user_roles(user)} <= {NOTHING}:
            _refuse("nothing", name)
        return super().auth_user_oauth({"username": user.username}, *others)

    def _register(self, name: str, userinfo: dict[str, Any]) -> Any:
        shown = "".join(filter(str.isprintable, str(userinfo.get("name") or name)))[:_LONGEST_NAME]
        email = str(userinfo.get("email"))
        if not re.fullmatch(_EMAIL, email):
            email = f"{name.replace('@', '.')}@localhost.localdomain"
        if self.find_user(email=email):
            _refuse("email", name)
        user = self.add_user(name, shown, "", email, self.find_role(NOTHING), hashed_password=NO_PASSWORD)
        return user or _refuse("name", name)

    def _given(self, userinfo: dict[str, Any]) -> tuple[set[str], set[str]]:
        """The roles that their groups give somebody, and all that groups decide."""
        groups = userinfo.get("groups")
        groups = groups if isinstance(groups, list) else [groups]  # some providers write one alone so
        mapping = self.groups_of_provider
        given = {role for group, roles in mapping.items() if group in groups for role in roles}
        return given, {role for roles in mapping.values() for role in roles}

    def _roles(self, names: set[str]) -> list[Any]:
        found = {name: self.find_role(name) for name in sorted(names)}
        for name in (name for name, role in found.items() if role is None):
            log.error("single sign-on: there is no role %r", name)
        return [role for role in found.values() if role]


class _Pages(_Mixin):
    """Login and logout."""

    tool: str

    @expose("/login/")
    @expose("/login/<provider>")
    def login(self, provider: str | None = None) -> Any:
        """A page that leads to the provider; what could not be done before is said above."""
        if provider or current_user.is_authenticated:
            return super().login(provider)
        leads = url_for(".login", provider=NAME, next=request.args.get("next"))
        return _page("failed" if get_flashed_messages() else "login", leads, tool=self.tool)

    @expose("/logout/")
    def logout(self) -> Any:
        """End the session here, then at the provider, if it can be: others may use the same machine."""
        response = super().logout()
        remote = self.appbuilder.sm.oauth_remotes[NAME]
        try:
            ended = remote.create_logout_url(url_for(".login", _external=True), client_id=remote.client_id)
        except (RuntimeError, RequestException):  # it does not offer that, or does not answer
            return response
        return redirect(ended["url"])


def _set_password(_user: Any, value: str, before: Any, _event: Any) -> str:
    return NO_PASSWORD if before == NO_PASSWORD else value


def _refuse(why: str, name: str) -> NoReturn:
    name = name[:_LONGEST_NAME]
    log.warning("single sign-on: %r was refused: %s", name, why)
    abort(_page(why, url_for(".logout"), name=name, status=403))


def _page(text: str, leads: str, status: int = 200, **values: Any) -> Response:
    language = request.accept_languages.best_match(["ko", "en"], "ko")
    page = _pages.get_template("page.html").render(text=text, leads=leads, language=language, **values)
    return Response(page, status, headers={"Cache-Control": "no-store"})
