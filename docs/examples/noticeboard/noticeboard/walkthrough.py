"""Try every step of the board over real HTTP, as a user with two devices."""

from __future__ import annotations

import base64
import html
import http.cookiejar
import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request

# A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)


class Unexpected(Exception):
    """The app answered in an unexpected way."""


class Reply:
    """Answer of the app to a request."""

    def __init__(self, response: urllib.request._UrlopenRet) -> None:
        self.status: int = response.status
        self.headers = response.headers
        self.url: str = response.url
        self.body: bytes = response.read()
        response.close()

    @property
    def text(self) -> str:
        return html.unescape(self.body.decode(errors="replace"))


class Device:
    """A browser without JavaScript: it keeps cookies and follows redirects."""

    def __init__(self, base: str, name: str) -> None:
        self.base = base
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._jar)
        )
        self._headers = {"User-Agent": name, "Accept": "text/html"}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it keeps, by name."""
        return {cookie.name: cookie.value or "" for cookie in self._jar}

    def get(self, path: str) -> Reply:
        return self._open(urllib.request.Request(self.base + path))

    def post(
        self,
        path: str,
        fields: dict[str, str],
        *,
        files: dict[str, tuple[str, bytes]] | None = None,
        page: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send the form on ``page`` as a browser would, hidden fields included."""
        sent = {**hidden_fields(self.get(page or path).text), **fields}
        body, content_type = _multipart(sent, files or {})
        request = urllib.request.Request(self.base + path, body)
        request.add_header("Content-Type", content_type)
        return self._open(request, {"Origin": self.base, **(headers or {})})

    def post_json(self, path: str, data: object) -> Reply:
        token = hidden_fields(self.get(path).text).get("csrf_token", "")
        request = urllib.request.Request(self.base + path, json.dumps(data).encode())
        return self._open(
            request,
            {
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Origin": self.base,
                "X-CSRFToken": token,
            },
        )

    def _open(
        self, request: urllib.request.Request, headers: dict[str, str] | None = None
    ) -> Reply:
        for name, value in {**self._headers, **(headers or {})}.items():
            request.add_header(name, value)
        try:
            return Reply(self._opener.open(request, timeout=30))
        except urllib.error.HTTPError as error:
            return Reply(error)
        except OSError as error:
            raise Unexpected(f"{request.full_url} does not answer: {error}") from None


def hidden_fields(page: str) -> dict[str, str]:
    """Return the hidden inputs of a page, such as its CSRF token."""
    inputs = re.findall(r"<input\b[^>]*>", page)
    attributes = (dict(re.findall(r'([\w-]+)="([^"]*)"', item)) for item in inputs)
    return {
        item["name"]: item.get("value", "")
        for item in attributes
        if item.get("type") == "hidden" and "name" in item
    }


class Walkthrough:
    """The steps of the tour; each prints a line about what it saw."""

    def __init__(self, base: str) -> None:
        self.laptop = Device(base, "Laptop")
        self.phone = Device(base, "Phone")
        self.email = f"{secrets.token_hex(6)}@example.org"
        self.password = secrets.token_urlsafe(12)

    def run(self) -> bool:
        """Take every step and stop at the first failure."""
        steps = (
            self.read, self.search, self.sign_up, self.sign_in, self.write,
            self.write_json, self.stand_firm, self.second_device, self.revoke_it,
            self.sign_out,
        )  # fmt: skip
        print("\nGoing through it over HTTP\n")
        for step in steps:
            name = step.__name__.replace("_", " ")
            try:
                print(f"  ok    {name:<14} {step()}")
            except Unexpected as error:
                print(f"  FAIL  {name:<14} {error}")
                return False
        print(f"\n{len(steps)} of {len(steps)} steps went as they should")
        return True

    def read(self) -> str:
        first = expect(self.laptop.get("/"), 200, "Bicycle to give away")
        second = expect(self.laptop.get("/?page=2"), 200)
        policy = first.headers["Content-Security-Policy"]
        nonces = re.findall(r"'nonce-([^']+)'", policy)
        check(bool(nonces), f"no nonce in {policy!r}")
        check(f'nonce="{nonces[0]}"' in first.text, "the page does not use its nonce")
        check(first.body != second.body, "the second page is the first")
        return "two pages, a policy with a nonce that the page uses"

    def search(self) -> str:
        found = expect(self.laptop.get("/?q=BICYCLE"), 200, "Bicycle to give away")
        check("Piano" not in found.text, "the search found what does not match")
        tagged = expect(self.laptop.get("/?tag=music"), 200, "Choir")
        check("Bicycle" not in tagged.text, "the tag found what does not match")
        for number in (999999, 10**12, 10**30):
            expect(self.laptop.get(f"/notices/{number}"), 404)
        expect(self.laptop.get("/?q=%00&tag=%00"), 200)
        expect(self.laptop.get("/readyz"), 200, '"ok"')
        return "by words and by tag; an unknown notice is 404"

    def sign_up(self) -> str:
        fields = {"name": "Zoë", "email": "not an address", "password": "short"}
        wrong = expect(self.laptop.post("/sign-up", fields), 422, "Zoë")
        check("short" not in wrong.text, "a password came back in the page")
        check('aria-invalid="true"' in wrong.text, "no field is marked invalid")
        fields |= {"email": self.email, "password": self.password}
        expect(self.laptop.post("/sign-up", fields), 200, "Welcome, Zoë")
        again = expect(self.phone.post("/sign-up", fields), 422)
        check("There is an account" in again.text, "an email was taken twice")
        return "422 with what was typed, then welcome; the email is taken"

    def sign_in(self) -> str:
        expect(self.laptop.post("/sign-out", {}, page="/"), 200, "Sign in")
        fields = {"email": self.email, "password": "wrong password"}
        expect(self.laptop.post("/sign-in", fields), 422, "Email or password is wrong")
        fields["password"] = self.password
        expect(self.laptop.post("/sign-in", fields), 200, "Welcome, Zoë")
        return "422 with a wrong password, then welcome"

    def write(self) -> str:
        path = "/notices/new"
        fields = {"title": "", "body": "With a picture.", "tags": "walk"}
        expect(self.laptop.post(path, fields), 422, "With a picture.")
        fields["title"] = "<b>A walk</b>"
        text = {"picture": ("note.png", b"this is no picture")}
        expect(self.laptop.post(path, fields, files=text), 422, "A walk")
        expect(self.laptop.post(path, {**fields, "body": "\0"}), 400)
        files = {"picture": ("dot.png", PNG)}
        shown = expect(self.laptop.post(path, fields, files=files), 200, "A walk")
        check(b"<b>A walk</b>" not in shown.body, "a title was not escaped")
        picture = expect(self.laptop.get(f"{_path(shown.url)}/picture"), 200)
        check(picture.body == PNG, "the picture changed")
        check(picture.headers["Content-Type"] == "image/png", "not sent as a PNG")
        return "422 without a title and with a false picture, then the notice"

    def write_json(self) -> str:
        path = "/notices/new"
        wrong = expect(self.laptop.post_json(path, {"title": "x", "body": "y"}), 422)
        check(
            wrong.headers["Content-Type"].startswith("application/problem+json"),
            f"errors came as {wrong.headers['Content-Type']}",
        )
        check(b"/title" in wrong.body, "no pointer to the title")
        for odd in ([1], 3, None):
            status = self.laptop.post_json(path, odd).status
            check(400 <= status < 500, f"the body {odd} got {status}")
        data = {"title": "By JSON", "body": "Posted.", "tags": ["news"]}
        expect(self.laptop.post_json(path, data), 201)
        expect(self.laptop.get("/?q=by+json"), 200, "By JSON")
        return "422 as problem+json with a pointer, 4xx for odd bodies, 201"

    def stand_firm(self) -> str:
        fields = {"title": "From elsewhere", "body": "x"}
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        reply = self.laptop.post("/notices/new", fields, headers=foreign)
        check(reply.status == 403, f"a cross-site post got {reply.status}")
        reply = self.laptop.post("/sign-out", {}, page="/", headers=foreign)
        check(reply.status == 403, f"a cross-site sign-out got {reply.status}")
        expect(self.laptop.get("/devices/"), 200, "Laptop")
        return "cross-site posts are refused, valid token or not"

    def second_device(self) -> str:
        fields = {"email": self.email, "password": self.password}
        expect(self.phone.post("/sign-in", fields), 200, "Welcome")
        expect(self.phone.get("/devices/"), 200, "Laptop")
        expect(self.laptop.get("/devices/"), 200, "Phone")
        return "each device sees the other"

    def revoke_it(self) -> str:
        # The page has a form for each other device, and one for all of them.
        after = self.laptop.post("/devices/end", {}, page="/devices/")
        expect(after, 200, "signed out")
        check("Phone" not in after.text, "the phone is still listed")
        expect(self.phone.get("/devices/"), 200, "Please sign in first")
        return "the laptop signed the phone out at once"

    def sign_out(self) -> str:
        reply = expect(self.laptop.post("/sign-out", {}, page="/"), 200, "Sign in")
        check("Sign out" not in reply.text, "still signed in")
        expect(self.laptop.get("/devices/"), 200, "Please sign in first")
        return "and what needs a sign-in asks for it"


def expect(reply: Reply, status: int, text: str = "") -> Reply:
    """Return a reply after checking its status and text."""
    check(reply.status == status, f"{reply.url}: {reply.status}, not {status}")
    check(not text or text in reply.text, f"{reply.url} does not say {text!r}")
    return reply


def check(holds: bool, message: str) -> None:
    if not holds:
        raise Unexpected(message)


def _path(url: str) -> str:
    return urllib.parse.urlsplit(url).path


def _multipart(
    fields: dict[str, str], files: dict[str, tuple[str, bytes]]
) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in fields.items():
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
            f"\r\n\r\n{value}\r\n".encode()
        )
    for name, (filename, data) in files.items():
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}";'
            f' filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
        )
        parts.append(head.encode() + data + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"
