"""Settings of ``SecureHeaders``: each key, its default, unit and meaning."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime
import re
import typing as t

import pydantic
from pydantic_core import core_schema

from flaskware_core import ConfigProblem
from flaskware_core import describe
from flaskware_core import Sensitive
from flaskware_core import Settings

from ._policy.lint import lint
from ._policy.lint import PolicyProblem
from ._policy.policy import Append
from ._policy.policy import Hsts
from ._policy.policy import Policy
from ._policy.trusted_types import complaints as trusted_types_complaints
from ._policy.trusted_types import TRUSTED_TYPES
from ._policy.trusted_types import TrustedTypes
from ._reports.store import ReportStore
from ._well_known.routes import is_target
from ._well_known.security_txt import SecurityTxt

CookieFixing: t.TypeAlias = t.Literal["fix", "report", "off"]
PolicyName: t.TypeAlias = t.Literal["strict", "api", "legacy"]
Isolation: t.TypeAlias = t.Literal["enforce", "report", "off"]

# Without this, Pydantic would copy the dataclass.
_INSTANCE = pydantic.GetPydanticSchema(
    lambda source, _: core_schema.is_instance_schema(source)
)
_SourceValue: t.TypeAlias = (
    str | t.Annotated[Append, _INSTANCE] | tuple[str, ...] | None
)
_STORES = frozenset({"off", "memory", "log"})
_YEAR = 365 * 24 * 60 * 60
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


class SecureSettings(Settings):
    """Configuration of ``SecureHeaders``, read from ``app.config``."""

    prefix = "SECURE_"
    distribution = "flaskware-secure"

    policy: PolicyName | t.Annotated[Policy, _INSTANCE] = pydantic.Field(
        default="strict",
        description="The policy of the app: the name of a preset, or a `Policy`.",
        examples=["strict"],
    )
    csp: cabc.Mapping[str, _SourceValue] = pydantic.Field(
        default={},
        description="Directives that replace those of the policy; None drops them.",
        examples=[{"img-src": ["'self'", "https://cdn.example"]}],
    )
    permissions: cabc.Mapping[str, _SourceValue] = pydantic.Field(
        default={},
        description="Features of Permissions-Policy that replace those of the policy,"
        " with the origins that may use them. An empty list allows nobody.",
        examples=[{"geolocation": ["self"]}],
    )
    permissions_report_only: cabc.Mapping[str, _SourceValue] = pydantic.Field(
        default={},
        description="Features of Permissions-Policy-Report-Only: each use that it would"
        " forbid is reported, and still works.",
        examples=[{"clipboard-read": []}],
    )
    report_only: bool = pydantic.Field(
        default=False,
        description="Send the CSP as Content-Security-Policy-Report-Only: violations"
        " are reported and nothing is blocked.",
    )
    hsts_seconds: int = pydantic.Field(
        default=_YEAR,
        ge=0,
        description="Seconds for which browsers keep to https. The header is sent over"
        " https only, and never for localhost; 0 sends no header.",
        examples=[_YEAR],
    )
    hsts_steps: cabc.Mapping[datetime.date, t.Annotated[int, pydantic.Field(ge=0)]] = (
        pydantic.Field(
            default={},
            description="HSTS in steps: the first day (UTC) of each step, and its"
            " seconds. The step that is in force when the app starts replaces"
            " `SECURE_HSTS_SECONDS`; before the first day no header is sent.",
            examples=[{"2026-01-10": 300, "2026-01-17": 604800, "2026-02-17": _YEAR}],
        )
    )
    hsts_include_subdomains: bool = pydantic.Field(
        default=False, description="Apply HSTS to every subdomain too."
    )
    hsts_preload: bool = pydantic.Field(
        default=False,
        description="Ask for a place on the browsers' preload list, which takes months"
        " to leave.",
    )
    redirect_https: bool = pydantic.Field(
        default=True,
        description="Redirect plain http to https with status 308. If neither"
        " TRUSTED_HOSTS nor SECURE_HTTPS_HOST names the app's hosts, only pages are"
        " redirected, and only at a public name. Never from localhost, in debug mode"
        " or while testing.",
    )
    https_host: str | None = pydantic.Field(
        default=None,
        description="The host that plain http is redirected to, with its port if not"
        " 443. By default the requested host, if that is in TRUSTED_HOSTS.",
        examples=["www.example.org"],
    )
    redirect_exempt: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Paths that are served over plain http, with all paths below them:"
        " a health check.",
        examples=[["/healthz"]],
    )
    isolation: Isolation = pydantic.Field(
        default="enforce",
        description="Handling of requests that pages of other sites make a browser"
        " send: POST, PUT, PATCH, DELETE, and what such a page loads. `enforce` refuses"
        " them with 403, `report` only logs them, `off` lets them pass.",
        examples=["report"],
    )
    isolate_same_site: bool = pydantic.Field(
        default=False,
        description="Treat other hosts of the same site, such as"
        " `blog.example.org` for `www.example.org`, like other sites: refuse what their"
        " pages post and load. A preset then sends"
        " `Cross-Origin-Resource-Policy: same-origin`.",
    )
    paths: cabc.Mapping[str, cabc.Mapping[str, t.Any]] = pydantic.Field(
        default={},
        description="Changes for a path and all paths below it, as `override()` takes"
        " them. Longer paths apply after shorter paths, blueprints and views after"
        " paths.",
        examples=[{"/static/": {"corp": "cross-origin"}}],
    )
    nonces_below: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Paths of pages of other packages, with all paths below them. Each"
        " script of these pages gets the nonce, and the policy allows each handler in"
        " an attribute, such as `onclick`, by its hash, and all styles. Injected code"
        " too: only for pages that show no markup of users.",
        examples=[["/admin/", "/apidocs/"]],
    )
    trusted_types: TrustedTypes = pydantic.Field(
        default="off",
        description="Trusted Types, with the default policy that `{{ trusted_types()"
        " }}` writes into a page: a text that a script gives to `innerHTML` and its"
        " like must hold nothing that runs. `report` reports any other text and lets"
        " it pass, `enforce` refuses it.",
        examples=["report"],
    )
    trusted_types_origins: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Other origins that a script may load scripts from, under Trusted"
        " Types.",
        examples=[["https://js.pay.example"]],
    )
    cookies: CookieFixing = pydantic.Field(
        default="fix",
        description="Handling of cookies without `Secure` (over https), `HttpOnly` or"
        " `SameSite`, or against the rules of their `__Host-` prefix. `fix` adds the"
        " flags, `report` only logs the cookie, `off` does nothing.",
        examples=["report"],
    )
    cookies_readable: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Names of cookies that scripts read; they do not get `HttpOnly`."
        " Those of well-known libraries, such as `XSRF-TOKEN` and `csrf_access_token`,"
        " never get it.",
        examples=[["theme"]],
    )
    removed_headers: tuple[str, ...] = pydantic.Field(
        default=("Server", "X-Powered-By", "X-AspNet-Version", "X-Runtime"),
        description="Headers to remove from every response because they reveal the"
        " software of the app. Headers of the server in front are for that server to"
        " remove.",
        examples=[["X-Powered-By"]],
    )
    manifest: str | None = pydantic.Field(
        default=None,
        description="The file with hashes of the static files, written by `flask secure"
        " manifest`, relative to the app's folder. Without it, files are hashed on"
        " first use and after each change.",
        examples=["integrity.json"],
    )
    security_txt_contacts: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Addresses to report a vulnerability to, in order of preference."
        " With them the app serves `/.well-known/security.txt` (RFC 9116).",
        examples=[["mailto:security@example.org", "https://example.org/report"]],
    )
    security_txt_expires: datetime.datetime | None = pydantic.Field(
        default=None,
        description="The end of the validity of `security.txt`, which needs one: a date"
        " or a time, in UTC if it names no zone. `flask doctor` warns 30 days before.",
        examples=["2027-01-31"],
    )
    security_txt_encryption: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Addresses of keys to encrypt a report with.",
        examples=[["https://example.org/pgp-key.txt"]],
    )
    security_txt_languages: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Tags of the languages that you read, in any order.",
        examples=[["en", "de"]],
    )
    security_txt_canonical: tuple[str, ...] = pydantic.Field(
        default=(),
        description="The https addresses where this `security.txt` is served.",
        examples=[["https://www.example.org/.well-known/security.txt"]],
    )
    security_txt_policy: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Pages with your rules for the report of a vulnerability.",
        examples=[["https://example.org/disclosure"]],
    )
    security_txt_acknowledgments: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Pages that thank those who reported.",
        examples=[["https://example.org/thanks"]],
    )
    security_txt_hiring: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Pages with your open positions in security.",
        examples=[["https://example.org/jobs"]],
    )
    change_password: str | None = pydantic.Field(
        default=None,
        description="The page where users change their password, to which"
        " `/.well-known/change-password` redirects for password managers: an endpoint,"
        " a path of the app, or an https address.",
        examples=["account.change_password"],
    )
    reports: t.Annotated[str | t.Annotated[ReportStore, _INSTANCE], Sensitive()] = (
        pydantic.Field(
            default="off",
            description="The store for the reports of browsers: `off` takes no reports,"
            " `memory` keeps them in the process, `log` logs them, the URL of a"
            " database keeps them in a table (`flaskware-secure[sqlalchemy]`); or a"
            " `ReportStore`.",
            examples=["sqlite:///reports.db"],
        )
    )
    reports_path: str = pydantic.Field(
        default="/-/reports",
        pattern=r"^/[\x21\x24-\x3b\x3d\x40-\x5b\x5d-\x7e]*$",
        description="The path that browsers send reports to.",
        examples=["/-/reports"],
    )
    reports_per_minute: int = pydantic.Field(
        default=60,
        ge=1,
        description="Number of reports that a client may send in a minute, and for each"
        " 4 KiB. More get the same answer, but are only counted as lost.",
    )
    reports_per_minute_total: int = pydantic.Field(
        default=1200,
        ge=1,
        description="Number of reports that all clients together may send to a process"
        " in a minute, and for each 4 KiB.",
    )
    reports_delay: float = pydantic.Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds that a report may wait in the process. Reports are written"
        " to a database in batches, by a thread and not in the request.",
    )
    reports_min_clients: int = pydantic.Field(
        default=2,
        ge=1,
        le=16,
        description="Number of clients that must have reported a source before it is"
        " suggested. 1 is for development, where you are the only one.",
    )
    reports_max_groups: int = pydantic.Field(
        default=500,
        ge=1,
        description="Number of different reports to keep. To make room, the client that"
        " alone reported most loses its oldest.",
    )

    @property
    def hsts(self) -> Hsts:
        """Content of the HSTS header, by today's step if there are steps."""
        return self.hsts_on(datetime.datetime.now(datetime.UTC).date())

    def hsts_on(self, day: datetime.date) -> Hsts:
        """Return the content of the HSTS header on a day (UTC)."""
        hsts = Hsts(self.hsts_seconds, self.hsts_include_subdomains, self.hsts_preload)
        if isinstance(self.policy, Policy) and self.policy.hsts is not None:
            chosen: dict[str, t.Any] = {
                name: value
                for name, value in hsts._asdict().items()
                if f"hsts_{name}" in self.model_fields_set
            }
            hsts = self.policy.hsts._replace(**chosen)
        if self.hsts_steps:
            begun = [each for each in self.hsts_steps if each <= day]
            hsts = hsts._replace(seconds=self.hsts_steps[max(begun)] if begun else 0)
        return hsts

    @property
    def security_txt(self) -> SecurityTxt | None:
        """The content of ``security.txt``; ``None`` if the app serves none."""
        if not self.security_txt_contacts or self.security_txt_expires is None:
            return None
        return SecurityTxt(
            contacts=self.security_txt_contacts,
            expires=self.security_txt_expires,
            encryption=self.security_txt_encryption,
            acknowledgments=self.security_txt_acknowledgments,
            languages=self.security_txt_languages,
            canonical=self.security_txt_canonical,
            policy=self.security_txt_policy,
            hiring=self.security_txt_hiring,
        )

    def composed_policy(self) -> Policy:
        """Return the app's policy: the preset with the changes of other settings."""
        policy = self.policy
        if isinstance(policy, str):
            presets = {
                "strict": Policy.strict,
                "api": Policy.api,
                "legacy": Policy.legacy,
            }
            policy = presets[policy]()
            if self.isolate_same_site:
                policy = policy.changed(corp="same-origin")
        if self.trusted_types == "report":
            trial = {**TRUSTED_TYPES, **policy.csp_report_only}
            policy = dc.replace(policy, csp_report_only=trial)
        elif self.trusted_types == "enforce":
            policy = dc.replace(policy, csp={**TRUSTED_TYPES, **policy.csp})
        csp = t.cast("t.Any", self.csp)
        return policy.changed(
            csp=csp,
            permissions=t.cast("t.Any", self.permissions),
            permissions_report_only=t.cast("t.Any", self.permissions_report_only),
        )

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        """Yield the mistakes in the policy, and settings that contradict each other."""
        composed = self.composed_policy()
        yield from map(self._by_key, lint(composed))
        yield from self._path_problems(composed)
        yield from self._hsts_problems()
        yield from self._preload_problems()
        yield from self._report_problems()
        if self.https_host is not None and not _HOST.fullmatch(self.https_host):
            yield PolicyProblem(
                self.key("https_host"),
                "a host, with a port if it is not 443; no scheme, no path",
                describe(self.https_host),
                'SECURE_HTTPS_HOST = "www.example.org"',
                code="redirect.bad-host",
            )
        yield from self._relative_paths("redirect_exempt", "redirect.bad-path")
        yield from self._relative_paths("nonces_below", "nonces.bad-path")
        yield from self._security_txt_problems()
        for code, expected, origin, write in trusted_types_complaints(
            self.trusted_types_origins
        ):
            key = self.key("trusted_types_origins")
            given = describe(origin)
            yield PolicyProblem(key, expected, given, f'"{write}"', code=code)
        target = self.change_password
        if target is not None and not is_target(target):
            yield PolicyProblem(
                self.key("change_password"),
                "an endpoint, a path that starts with one '/', or an https address; not"
                " the well-known address itself",
                describe(target),
                'SECURE_CHANGE_PASSWORD = "account.change_password"',
                code="change-password.bad-target",
            )

    def _security_txt_problems(self) -> cabc.Iterator[ConfigProblem]:
        fields = [f"security_txt_{each.name}" for each in dc.fields(SecurityTxt)]
        given = [self.key(name) for name in fields if getattr(self, name)]
        contacts, expires = fields[:2]
        if given and self.key(contacts) not in given:
            yield PolicyProblem(
                self.key(contacts),
                f"at least one address, as {given[0]} is set",
                "",
                f'{self.key(contacts)} = ["mailto:security@example.org"]',
                code="security-txt.no-contact",
            )
        if given and self.key(expires) not in given:
            yield PolicyProblem(
                self.key(expires),
                f"a date, as {given[0]} is set: nobody relies on a file without one",
                "",
                f'{self.key(expires)} = "2027-01-31", or another day within a year',
                code="security-txt.no-expiry",
            )
        # Each field is checked without the others too: every problem is named at once.
        values = {
            name.removeprefix("security_txt_"): getattr(self, name) for name in fields
        }
        for field, complaint in SecurityTxt(**values).complaints():
            code, expected, value, write = complaint
            yield PolicyProblem(
                self.key(f"security_txt_{field}"),
                expected,
                describe(value),
                f'"{write}"',
                code=code,
            )

    def _relative_paths(self, field: str, code: str) -> cabc.Iterator[ConfigProblem]:
        for path in getattr(self, field):
            if not path.startswith("/"):
                yield PolicyProblem(
                    self.key(field),
                    "paths that start with '/'",
                    describe(path),
                    f'{self.key(field)} = ["/{path}"]',
                    code=code,
                )

    def _by_key(self, problem: PolicyProblem) -> PolicyProblem:
        """Name the key of the configuration if the mistake is there."""
        for field in ("csp", "permissions", "permissions_report_only"):
            for name in getattr(self, field):
                if problem.key == f"{field}[{name!r}]":
                    return dc.replace(problem, key=f"{self.key(field)}[{name!r}]")
        return problem

    def _path_problems(self, policy: Policy) -> cabc.Iterator[ConfigProblem]:
        for path, changes in self.paths.items():
            key = f"{self.key('paths')}[{path!r}]"
            if not path.startswith("/"):
                yield PolicyProblem(
                    key,
                    "a path that starts with '/'",
                    describe(path),
                    f'"/{path}"',
                    code="paths.bad-path",
                )
            try:
                changed = policy.changed(**t.cast("t.Any", changes))
            except (TypeError, AttributeError):
                yield PolicyProblem(
                    key,
                    "changes as override() takes them",
                    describe(dict(changes)),
                    '{"img_src": ["https://cdn.example"]}',
                    code="paths.bad-changes",
                )
                continue
            for problem in lint(changed):
                yield dc.replace(problem, key=f"{key}: {problem.key}")

    def _hsts_problems(self) -> cabc.Iterator[ConfigProblem]:
        before = 0
        for day, seconds in sorted(self.hsts_steps.items()):
            if seconds < before:
                yield PolicyProblem(
                    f"{self.key('hsts_steps')}[{day.isoformat()!r}]",
                    f"at least the {before} of the step before: browsers that do not"
                    " come back in time keep to the longer time",
                    str(seconds),
                    f"{before} or more",
                    code="hsts.lowered",
                )
            before = seconds

    def _report_problems(self) -> cabc.Iterator[ConfigProblem]:
        where = self.reports
        if isinstance(where, str) and where not in _STORES and "://" not in where:
            yield PolicyProblem(
                self.key("reports"),
                "off, memory, log, or the URL of a database",
                describe(where),
                'SECURE_REPORTS = "sqlite:///reports.db"',
                code="reports.unknown-store",
            )

    def _preload_problems(self) -> cabc.Iterator[ConfigProblem]:
        if not self.hsts.preload:
            return
        key = self.key("hsts_preload")
        if not self.hsts.include_subdomains:
            yield PolicyProblem(
                f"{key} and {self.key('hsts_include_subdomains')}",
                "both: the preload list takes whole domains only",
                "preload without subdomains",
                "SECURE_HSTS_INCLUDE_SUBDOMAINS = True, once every subdomain has https",
                code="hsts.preload-subdomains",
            )
        if (seconds := self.hsts.seconds) < _YEAR:
            yield PolicyProblem(
                f"{key} and {self.key('hsts_seconds')}",
                f"at least {_YEAR} seconds, as the preload list requires",
                f"{seconds}",
                f"SECURE_HSTS_SECONDS = {_YEAR}",
                code="hsts.preload-seconds",
            )
