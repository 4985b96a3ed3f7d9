"""An identity provider of SAML 2.0 that posts its signed answers, as they do."""

from __future__ import annotations

import datetime as dt
import uuid

import flask
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Constants
from onelogin.saml2.utils import OneLogin_Saml2_Utils as Utils

# pysaml2 has such a provider, but signs with a program that no wheel brings.
ANSWER = """<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
  xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{answer}" Version="2.0"
  IssueInstant="{now}" Destination="{to}" InResponseTo="{request}">
 <saml:Issuer>{issuer}</saml:Issuer>
 <samlp:Status>
  <samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>
 </samlp:Status>
 <saml:Assertion ID="{assertion}" Version="2.0" IssueInstant="{now}">
  <saml:Issuer>{issuer}</saml:Issuer>
  <saml:Subject>
   <saml:NameID>ann</saml:NameID>
   <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
    <saml:SubjectConfirmationData InResponseTo="{request}" NotOnOrAfter="{later}"
      Recipient="{to}"/>
   </saml:SubjectConfirmation>
  </saml:Subject>
  <saml:Conditions NotBefore="{before}" NotOnOrAfter="{later}">
   <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>
   </saml:AudienceRestriction>
  </saml:Conditions>
  <saml:AuthnStatement AuthnInstant="{now}" SessionIndex="1"><saml:AuthnContext>
   <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>
  </saml:AuthnContext></saml:AuthnStatement>
 </saml:Assertion>
</samlp:Response>"""
PAGE = """<body onload="document.forms[0].submit()">
<form method="post" action="{{ to }}">
<input name="SAMLResponse" value="{{ answer }}"><input name="RelayState" value="">
</form>"""


def make_keys() -> tuple[str, str]:
    """Make a key and its certificate, as text."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), certificate.public_bytes(
        serialization.Encoding.PEM
    ).decode()


def make_provider(key: str, certificate: str) -> flask.Flask:
    """Make the provider, at which everybody is signed in as "ann"."""
    app = flask.Flask("provider")

    @app.get("/sso")
    def sso():
        text = Utils.decode_base64_and_inflate(flask.request.args["SAMLRequest"])
        asked = etree.fromstring(text)
        to = asked.get("AssertionConsumerServiceURL")
        now = dt.datetime.now(dt.UTC)
        moments = {
            name: f"{now + dt.timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
            for name, minutes in {"now": 0, "before": -5, "later": 5}.items()
        }
        answer = ANSWER.format(
            answer=f"a{uuid.uuid4()}",
            assertion=f"b{uuid.uuid4()}",
            request=asked.get("ID"),
            to=to,
            issuer=f"{flask.request.host_url}metadata",
            audience=asked.findtext("{*}Issuer"),
            **moments,
        )
        signed = Utils.add_sign(
            answer,
            key,
            certificate,
            sign_algorithm=Constants.RSA_SHA256,
            digest_algorithm=Constants.SHA256,
        )
        return flask.render_template_string(PAGE, to=to, answer=Utils.b64encode(signed))

    return app
