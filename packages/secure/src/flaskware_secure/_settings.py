from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pydantic
from pydantic_core import core_schema

from flaskware_core import ConfigProblem
from flaskware_core import describe
from flaskware_core import Settings

from ._compiled import Hsts
from ._lint import lint
from ._lint import PolicyProblem
from ._policy import Append
from ._policy import Policy

PolicyName: t.TypeAlias = t.Literal["strict", "api", "legacy"]
Isolation: t.TypeAlias = t.Literal["enforce", "report", "off"]

# Without this Pydantic would look into the dataclass, and copy it.
_INSTANCE = pydantic.GetPydanticSchema(
    lambda source, _: core_schema.is_instance_schema(source)
)
_SourceValue: t.TypeAlias = (
    str | t.Annotated[Append, _INSTANCE] | tuple[str, ...] | None
)
_YEAR = 365 * 24 * 60 * 60
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


class SecureSettings(Settings):
    """What ``SecureHeaders`` reads from an app's configuration."""

    prefix = "SECURE_"
    distribution = "flaskware-secure"

    policy: PolicyName | t.Annotated[Policy, _INSTANCE] = pydantic.Field(
        default="strict",
        description="The policy of the app: the name of a preset, or a `Policy`.",
        examples=["strict"],
    )
    csp: cabc.Mapping[str, _SourceValue] = pydantic.Field(
        default={},
        description="Directives that replace those of the policy; None drops one.",
        examples=[{"img-src": ["'self'", "https://cdn.example"]}],
    )
    permissions: cabc.Mapping[str, _SourceValue] = pydantic.Field(
        default={},
        description="Features of Permissions-Policy that replace the policy's: who may"
        " use each. An empty list allows nobody.",
        examples=[{"geolocation": ["self"]}],
    )
    report_only: bool = pydantic.Field(
        default=False,
        description="Send the CSP as Content-Security-Policy-Report-Only: violations"
        " are reported and nothing is blocked.",
    )
    hsts_seconds: int = pydantic.Field(
        default=_YEAR,
        ge=0,
        description="How long browsers keep to https, in seconds; sent over https"
        " only, and never for localhost. 0 sends no such header.",
        examples=[_YEAR],
    )
    hsts_include_subdomains: bool = pydantic.Field(
        default=False,
        description="Whether HSTS counts for every subdomain too.",
    )
    hsts_preload: bool = pydantic.Field(
        default=False,
        description="Ask to be on the browsers' preload list, which takes months to"
        " leave.",
    )
    redirect_https: bool = pydantic.Field(
        default=True,
        description="Redirect plain http to https with status 308, where the app's"
        " hosts are known from TRUSTED_HOSTS or SECURE_HTTPS_HOST. Never for localhost,"
        " in debug mode or while testing.",
    )
    https_host: str | None = pydantic.Field(
        default=None,
        description="The host, with its port if not 443, that plain http is redirected"
        " to. Without it, to the requested host if that is in TRUSTED_HOSTS.",
        examples=["www.example.org"],
    )
    redirect_exempt: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Paths that are served over plain http, with all below them: a"
        " health check.",
        examples=[["/healthz"]],
    )
    isolation: Isolation = pydantic.Field(
        default="enforce",
        description="What happens to a POST, PUT, PATCH or DELETE that a page of"
        " another site makes a browser send: refused with 403, only logged, or let"
        " through.",
        examples=["report"],
    )

    @property
    def hsts(self) -> Hsts:
        """What is said about HSTS."""
        return Hsts(self.hsts_seconds, self.hsts_include_subdomains, self.hsts_preload)

    def composed_policy(self) -> Policy:
        """The app's policy: the preset with what other settings change of it."""
        policy = self.policy
        if isinstance(policy, str):
            presets: dict[str, cabc.Callable[[], Policy]] = {
                "strict": Policy.strict,
                "api": Policy.api,
                "legacy": Policy.legacy,
            }
            policy = presets[policy]()
        csp = t.cast("t.Any", self.csp)
        return policy.changed(csp=csp, permissions=t.cast("t.Any", self.permissions))

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        """Yield what is wrong in the policy, and settings that contradict."""
        yield from lint(self.composed_policy())
        yield from self._preload_problems()
        if self.https_host is not None and not _HOST.fullmatch(self.https_host):
            yield PolicyProblem(
                self.key("https_host"),
                "a host, with a port if it is not 443; no scheme, no path",
                describe(self.https_host),
                'SECURE_HTTPS_HOST = "www.example.org"',
                code="redirect.bad-host",
            )
        for path in self.redirect_exempt:
            if not path.startswith("/"):
                yield PolicyProblem(
                    self.key("redirect_exempt"),
                    "paths that start with '/'",
                    describe(path),
                    f'SECURE_REDIRECT_EXEMPT = ["/{path}"]',
                    code="redirect.bad-path",
                )

    def _preload_problems(self) -> cabc.Iterator[ConfigProblem]:
        if not self.hsts_preload:
            return
        key = self.key("hsts_preload")
        if not self.hsts_include_subdomains:
            yield PolicyProblem(
                f"{key} and {self.key('hsts_include_subdomains')}",
                "both: the preload list takes whole domains only",
                "preload without subdomains",
                "SECURE_HSTS_INCLUDE_SUBDOMAINS = True, once every subdomain has https",
                code="hsts.preload-subdomains",
            )
        if self.hsts_seconds < _YEAR:
            yield PolicyProblem(
                f"{key} and {self.key('hsts_seconds')}",
                f"at least {_YEAR} seconds, as the preload list wants",
                f"{self.hsts_seconds}",
                f"SECURE_HSTS_SECONDS = {_YEAR}",
                code="hsts.preload-seconds",
            )
