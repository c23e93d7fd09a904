"""Judges each HTTP request that dstack is about to send, in the process that sends it.

dstack's CLI reaches its server through `requests` alone (api/server/__init__.py), so `Session.send` sees every request: after all
parsing, and before anything leaves. A rule says what this command may send. Reads and plans pass. The first change waits: the server
gets what this command has printed and read so far, and answers which changes may be sent. A change passes only if the answer has
exactly this one, and once: dstack's client repeats a request whose response was lost, which would make the change twice. Anything
unknown counts as a change.
"""

import json
import re
import sys
import threading
from urllib.parse import urlsplit

from request_contents import (
    archive_digest,
    body_of,
    canonical,
    contains,
    covers,
    credentials_in,
    digest,
    json_of,
    name_in,
    says_missing,
    sha256_of,
)

_READ = re.compile(r"(?:^|/)(?:get|list|poll)(?:_\w+)?$")
_HAND_OVER = frozenset(["files/upload_archive", "repos/init", "repos/upload_code"])
# Sent right before the submission, when the change is already decided on (api/_public/runs.py, apply_plan).
_PART_OF_CHANGE = frozenset(["repos/upload_code"])
_LOOK_UP = re.compile(r"^(?:runs|fleets|volumes|gateways)/get$")
# For a server that hangs after a change: the longest wait for its whole response. The look-up is only a shortcut.
_LOOK_UP_SECONDS = 5
_SPECS = ("run_spec", "spec")
# cli/utils/updates.py: once a day, before the command, with an anonymous installation id. Nothing documented disables it.
_UPDATE_CHECK = re.compile(r"https://get\.dstack\.ai/[\w-]+/latest-version(?:\?|$)")
_OTHER_FILES = "the files aren't those that were checked"
# A larger resource is reported as unreadable, and what is unreadable isn't changed.
_REPORT_LIMIT = 4 << 20


class Denied(Exception):
    """Replaced by a subclass of dstack's own error, which its CLI prints in one line."""


class Gate:
    def __init__(self, rule, tell, ask=None, is_ready=None):
        self._server = _split(rule["server"]) if rule.get("server") else None
        self._project = rule.get("project")
        self._hands_over = rule.get("handOver", False)
        self._asks = rule.get("asks", False)
        self._reports = self._asks or self._hands_over
        self._expected = None if self._asks else []
        self._look_up = None
        self._credentials = list(rule.get("credentials", []))
        self._is_ready = is_ready or (lambda: True)
        self._archives = frozenset(rule.get("archives", []))
        self._tell = tell
        self._ask = ask
        self._plans = {}
        self._lock = threading.Lock()

    def judge(self, request):
        """Returns what kind of request it is: its path, and what to do with the answer. Raises Denied."""
        if _UPDATE_CHECK.match(request.url or ""):
            # dstack goes on without an answer, and it isn't a part of the command: what was approved stays approved.
            raise Denied("dstack-mcp did not send the update check.")
        with self._lock:
            return self._judge(request)

    def _judge(self, request):
        if self._server is None:
            return self._deny(urlsplit(request.url).path, "it isn't known which server it goes to")
        path, project = self._locate(request)
        if path is None:
            return self._deny(request.url and urlsplit(request.url).hostname, "it goes to another host than dstack's server")
        self._admit_credentials(path, request)
        is_read = request.method == "GET" or _READ.search(path) is not None
        if not self._is_ready() and (not is_read or path.endswith("/get_plan")):
            return self._deny(path, _OTHER_FILES, files=True)
        if is_read:
            if path.endswith("/get_plan"):
                return path, self._plan(path, request)
            return path, "look-up" if self._reports and _LOOK_UP.match(path) else None
        if self._project is not None and project not in (None, self._project):
            return self._deny(path, "it goes to project %s, not to %s" % (project, self._project))
        if path in _HAND_OVER and self._hands_over:
            if path in _PART_OF_CHANGE:
                self._learn_what_may_change(path)
            elif path == "files/upload_archive" and archive_digest(request) not in self._archives:
                return self._deny(path, _OTHER_FILES, files=True)
            return path, "hand-over"
        self._learn_what_may_change(path)
        self._admit_change(path, body_of(request))
        return path, "change"

    def note_plan(self, path, response):
        """Remembers what the server answered to a plan: what it filled in may be sent back."""
        answer = json_of(response.content)
        if isinstance(answer, dict):
            self._plans[path]["answered"] = answer.get(self._plans[path]["key"])
            self._report_found(path, answer.get("current_resource"), response.content)

    def note_found(self, path, status, content):
        """Reports the resource that was looked up; None if the server says that it has none. The page of a proxy says neither."""
        value = json_of(content) if status < 400 else None
        if isinstance(value, dict) or says_missing(status, content):
            self._report_found(path, value, content)

    def look_up_after(self, request, path):
        """Returns the request that shows the resource of a change, once the last change was accepted."""
        with self._lock:
            wanted, self._look_up = (self._look_up, None) if not self._expected else (None, self._look_up)
        if wanted is None or not request.url.endswith(path):
            return None
        look_up = request.copy()
        look_up.url = request.url[: -len(path)] + wanted["path"]
        look_up.prepare_body(json.dumps(wanted["body"]).encode(), None)
        # A short compressed response can have any size.
        look_up.headers["Accept-Encoding"] = "identity"
        return look_up

    def _report_found(self, path, value, content):
        if not self._reports:
            return
        try:
            if len(content) <= _REPORT_LIMIT:
                return self.tell("found", path, value=value)
        except (ValueError, RecursionError):
            pass  # Python reads NaN, infinity and 1e999, which JSON doesn't have.
        self.tell("unreadable", path)

    def tell(self, event, path, **more):
        self._tell({"event": event, "path": path, **more})

    def _locate(self, request):
        """The path below `/api/` (below the project where there is one), and the project."""
        url = urlsplit(request.url)
        if (url.scheme, url.hostname, url.port) != self._server[:3]:
            return None, None
        prefix = self._server[3] + "/api/"
        if not url.path.startswith(prefix):
            return None, None
        path = url.path[len(prefix) :]
        parts = path.split("/", 2)
        if parts[0] == "project" and len(parts) == 3:
            return parts[2], parts[1]
        return path, None

    def _plan(self, path, request):
        body = body_of(request)
        key = next((name for name in _SPECS if isinstance(body, dict) and name in body), None)
        if key is None or body.get("for_offers_only"):
            return None
        self._plans[path] = {"key": key, "asked": body[key], "answered": None}
        self.tell("plan", path, sha256=digest(body[key]), name=name_in(body[key]))
        return "plan"

    def _learn_what_may_change(self, path):
        """Waits for the server's answer, once, right before the first change."""
        if self._expected is not None:
            return
        # The server judges what was printed, too.
        sys.stdout.flush()
        sys.stderr.flush()
        self.tell("held", path)
        answer = self._ask() if self._ask is not None else None
        if not isinstance(answer, dict) or "changes" not in answer:
            self._deny(path, answer["deny"] if isinstance(answer, dict) and "deny" in answer else "dstack-mcp has ended")
        self._expected = list(answer["changes"])
        self._look_up = answer.get("lookUp")

    def _admit_credentials(self, path, request):
        if "/upload_" in path:  # files and code, in another form than JSON
            return
        for text, clone_url in credentials_in(body_of(request)):
            found = sha256_of(text)
            if not any(
                one["sha256"] == found and (clone_url is None or clone_url in one.get("cloneUrls", []))
                for one in self._credentials
            ):
                self._deny(path, "it carries a credential that nobody agreed to send", credential=True)

    def _admit_change(self, path, body):
        for index, expected in enumerate(self._expected):
            if expected["path"] == path:
                why = self._difference(expected, body)
                if why is not None:
                    return self._deny(path, why)
                # Each once and in order: what was skipped can't come later.
                self._expected = self._expected[index + 1 :]
                return None
        return self._deny(path, "no consent covers it, or it was sent before")

    def _difference(self, expected, body):
        if "body" in expected and canonical(body) != canonical(expected["body"]):
            return "it isn't the request that was approved"
        if "within" in expected and not contains(body, expected["within"]):
            return "it isn't the request that was approved"
        if "plan" in expected and not self._follows_plan(expected["plan"], body):
            return "it isn't the plan that was approved"
        return None

    def _follows_plan(self, wanted, body):
        plan = self._plans.get(wanted["path"])
        inner = body.get("plan") if isinstance(body, dict) else None
        if plan is None or not isinstance(inner, dict) or body.get("force") or digest(plan["asked"]) != wanted["sha256"]:
            return False
        return covers(inner.get(plan["key"]), plan["asked"], plan["answered"])

    def _deny(self, path, why, **more):
        # Nothing but reads after a denial: dstack may go on as if it had been an error of the server.
        self._expected = []
        self._hands_over = False
        self.tell("denied", str(path), why=why, **more)
        raise Denied("dstack-mcp did not send this request (%s): %s." % (path, why))


def _split(url):
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/")


def install(rule, tell, ask=None, is_ready=None):
    """Puts the gate between dstack and its HTTP library. `ask` waits for the server's answer about the first change; None if there is
    none. Until `is_ready`, nothing but reads is sent. Raises ImportError if a change would be sent by an unknown library."""
    try:
        import requests
    except ImportError:
        if rule.get("asks"):
            raise
        return
    _adopt_error_of_dstack()
    gate = Gate(rule, tell, ask, is_ready)
    send = requests.Session.send

    def send_judged(session, request, **options):
        path, kind = gate.judge(request)
        if kind in ("change", "hand-over"):
            gate.tell("sent", path, kind=kind)
        try:
            response = send(session, request, **options)
        except BaseException as error:
            if kind in ("change", "hand-over"):
                gate.tell("lost", path, kind=kind, why=type(error).__name__)
            raise
        if kind == "plan":
            gate.note_plan(path, response)
        elif kind == "look-up":
            gate.note_found(path, response.status_code, response.content)
        elif kind is not None:
            gate.tell("answered", path, kind=kind, status=response.status_code)
            if kind == "change" and response.status_code < 400:
                _try(lambda: look_up_after(session, request, path, options))
        return response

    def look_up_after(session, request, path, options):
        look_up = gate.look_up_after(request, path)
        if look_up is not None:
            path, _ = gate.judge(look_up)
            answer = within(_LOOK_UP_SECONDS, lambda: ask_plainly(session, look_up, options))
            if answer is not None:
                gate.note_found(path, *answer)

    requests.Session.send = send_judged


def ask_plainly(session, request, options):
    """Returns the status and the content of a response; None if it is too large, compressed or a redirect, all of which a session reads."""
    settings = {name: options[name] for name in ("verify", "cert", "proxies") if name in options}
    adapter = session.get_adapter(request.url)
    with adapter.send(request, stream=True, timeout=_LOOK_UP_SECONDS, **settings) as response:
        if response.is_redirect or response.headers.get("Content-Encoding", "identity") != "identity":
            return None
        content = response.raw.read(_REPORT_LIMIT + 1, decode_content=False)
        return (response.status_code, content) if len(content) <= _REPORT_LIMIT else None


def within(seconds, function):
    """Returns what the function returns within this time; None if it takes longer or raises. A socket has a timeout per part."""
    results = []
    thread = threading.Thread(target=lambda: _try(lambda: results.append(function())), daemon=True)
    thread.start()
    thread.join(seconds)
    return results[0] if results else None


def _try(function):
    """Calls it. The change was made, whatever this raises."""
    try:
        function()
    except Exception:
        pass


def _adopt_error_of_dstack():
    """Makes a denial an error that dstack's CLI prints in one line, without a traceback."""
    global Denied
    try:
        from dstack._internal.core.errors import CLIError
    except ImportError:
        return
    Denied = type("Denied", (CLIError,), {})
