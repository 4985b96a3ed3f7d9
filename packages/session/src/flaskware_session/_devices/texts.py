"""The texts of the page of devices, in four languages."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import sys

import flask

# The words in braces that a text may have.
_NAMES = {"address": "", "device": "", "moment": "", "program": "", "system": ""}


@dc.dataclass(frozen=True, kw_only=True)
class DeviceTexts:
    """The texts of the page of devices in one language.

    Change some with ``dataclasses.replace``. Words in braces are filled in.

    :param language: Its tag, such as ``"de"``, for the page and the choice by the
        browser's ``Accept-Language``, or by Flask-Babel.
    :param name: The name of a device of which browser and system are known.
    :param moment: The format of a time in UTC, for ``strftime``.
    :raises ValueError: for a word in braces that is not known.
    """

    language: str = "en"
    title: str = "Devices"
    intro: str = (
        "You are signed in on these devices. If you do not know a device, sign it out."
    )
    name: str = "{program} on {system}"
    unknown: str = "Unknown device"
    current: str = "This device"
    last_seen: str = "Last seen {moment}"
    signed_in: str = "Signed in {moment}"
    signed_in_from: str = "Signed in {moment} from {address}"
    moment: str = "%Y-%m-%d, %H:%M UTC"
    end: str = "Sign out"
    end_others: str = "Sign out all other devices"
    alone: str = "You are not signed in on another device."
    confirm: str = "Confirm that it is you"
    confirm_one: str = "Enter your password to sign out the device “{device}”."
    confirm_others: str = "Enter your password to sign out all other devices."
    password: str = "Password"  # noqa: S105 # a label
    wrong: str = "This password is not right."
    back: str = "Back to the devices"
    ended: str = "The device is signed out."
    ended_others: str = "All other devices are signed out."
    gone: str = "The device was signed out already."
    expired: str = "The page was open for too long. Please try again."

    def __post_init__(self) -> None:
        for field in dc.fields(self):
            text: str = getattr(self, field.name)
            try:
                text.format(**_NAMES)
            except (KeyError, IndexError, ValueError, AttributeError) as error:
                raise ValueError(
                    f"DeviceTexts.{field.name} can have {{device}}, {{moment}},"
                    " {address}, {program} or {system} in braces, where the English"
                    f" text has it; not {text!r}"
                ) from error

    def time(self, moment: dt.datetime) -> str:
        """Return a moment as people read it."""
        return moment.strftime(self.moment)


_GERMAN = DeviceTexts(
    language="de",
    title="Geräte",
    intro="Auf diesen Geräten sind Sie angemeldet. Melden Sie ab, was Sie nicht"
    " kennen.",
    name="{program} auf {system}",
    unknown="Unbekanntes Gerät",
    current="Dieses Gerät",
    last_seen="Zuletzt gesehen: {moment}",
    signed_in="Angemeldet: {moment}",
    signed_in_from="Angemeldet: {moment}, von {address}",
    moment="%d.%m.%Y, %H:%M UTC",
    end="Abmelden",
    end_others="Alle anderen Geräte abmelden",
    alone="Sie sind auf keinem anderen Gerät angemeldet.",
    confirm="Bitte bestätigen",
    confirm_one="Geben Sie Ihr Passwort ein, um das Gerät „{device}“ abzumelden.",
    confirm_others="Geben Sie Ihr Passwort ein, um alle anderen Geräte abzumelden.",
    password="Passwort",  # noqa: S106 # a label
    wrong="Das Passwort stimmt nicht.",
    back="Zurück zu den Geräten",
    ended="Das Gerät ist abgemeldet.",
    ended_others="Alle anderen Geräte sind abgemeldet.",
    gone="Das Gerät war schon abgemeldet.",
    expired="Die Seite war zu lange offen. Bitte versuchen Sie es noch einmal.",
)
_SPANISH = DeviceTexts(
    language="es",
    title="Dispositivos",
    intro="Tiene una sesión abierta en estos dispositivos. Cierre la de los que no"
    " conozca.",
    name="{program} en {system}",
    unknown="Dispositivo desconocido",
    current="Este dispositivo",
    last_seen="Visto por última vez: {moment}",
    signed_in="Sesión iniciada: {moment}",
    signed_in_from="Sesión iniciada: {moment}, desde {address}",
    moment="%d/%m/%Y, %H:%M UTC",
    end="Cerrar sesión",
    end_others="Cerrar las demás sesiones",
    alone="No tiene ninguna sesión abierta en otro dispositivo.",
    confirm="Confirme que es usted",
    confirm_one="Escriba su contraseña para cerrar la sesión de «{device}».",
    confirm_others="Escriba su contraseña para cerrar las demás sesiones.",
    password="Contraseña",  # noqa: S106 # a label
    wrong="La contraseña no es correcta.",
    back="Volver a los dispositivos",
    ended="La sesión del dispositivo está cerrada.",
    ended_others="Las demás sesiones están cerradas.",
    gone="La sesión del dispositivo ya estaba cerrada.",
    expired="La página estuvo abierta demasiado tiempo. Inténtelo de nuevo.",
)
_FRENCH = DeviceTexts(
    language="fr",
    title="Appareils",
    intro="Vous êtes connecté sur ces appareils. Déconnectez ceux que vous ne"
    " connaissez pas.",
    name="{program} sur {system}",
    unknown="Appareil inconnu",
    current="Cet appareil",
    last_seen="Vu pour la dernière fois : {moment}",
    signed_in="Connexion : {moment}",
    signed_in_from="Connexion : {moment}, depuis {address}",
    moment="%d/%m/%Y, %H:%M UTC",
    end="Déconnecter",
    end_others="Déconnecter tous les autres appareils",
    alone="Vous n'êtes connecté sur aucun autre appareil.",
    confirm="Confirmez votre identité",
    confirm_one="Saisissez votre mot de passe pour déconnecter « {device} ».",
    confirm_others="Saisissez votre mot de passe pour déconnecter tous les autres"
    " appareils.",
    password="Mot de passe",  # noqa: S106 # a label
    wrong="Ce mot de passe n'est pas le bon.",
    back="Retour aux appareils",
    ended="L'appareil est déconnecté.",
    ended_others="Tous les autres appareils sont déconnectés.",
    gone="L'appareil était déjà déconnecté.",
    expired="La page est restée ouverte trop longtemps. Veuillez réessayer.",
)

DEVICE_TEXTS = (DeviceTexts(), _GERMAN, _SPANISH, _FRENCH)
"""The texts of the page of devices in English, German, Spanish and French."""


def choose(offered: cabc.Sequence[DeviceTexts]) -> DeviceTexts:
    """Return the texts for the current request; the first if no other suits better."""
    by_language = {texts.language: texts for texts in offered}
    wishes = [tag for tag, _ in flask.request.accept_languages]
    babel = sys.modules.get("flask_babel")
    if babel is not None and "babel" in flask.current_app.extensions:
        wishes = [str(babel.get_locale() or "").replace("_", "-")]
    # In the order of the client's preference; "de" serves for "de-AT".
    for tag in wishes:
        for wish in (tag, tag.partition("-")[0]):
            if wish in by_language:
                return by_language[wish]
    return offered[0]
