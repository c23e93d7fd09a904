"""Reads what dstack's requests contain, and compares it with what was approved. Pure: nothing is sent or remembered here."""

import hashlib
import io
import json
import re

# Properties of dstack's requests that carry a private key or a token: `ssh_key.private`, `repo_creds` of `repos/init`.
_CREDENTIALS = frozenset(["private", "private_key", "oauth_token"])


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value):
    return sha256_of(canonical(value))


def sha256_of(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def covers(sent, asked, answered):
    """Whether `sent` is what was asked for. The server may have filled in what was left open, and nothing else."""
    if isinstance(sent, dict) and isinstance(asked, dict):
        answered = answered if isinstance(answered, dict) else {}
        missing = object()
        return all(
            covers(sent.get(key), asked[key], answered.get(key)) if asked.get(key) is not None
            # What dstack left open or null may be filled in, exactly as the server answered.
            else sent.get(key, missing) in (missing, None) or sent[key] == answered.get(key, missing)
            for key in set(sent) | set(asked)
        )
    return sent == asked


def contains(value, part):
    """Whether every property of `part` has the same value in `value`."""
    if isinstance(part, dict) and isinstance(value, dict):
        return all(contains(value.get(key), part[key]) for key in part)
    return value == part


def credentials_in(value, clone_url=None):
    """Yields each credential in a body, with the repository that it is for. Variables may have any name, so they don't count."""
    if isinstance(value, list):
        for item in value:
            yield from credentials_in(item, clone_url)
    elif isinstance(value, dict):
        clone_url = value.get("clone_url", clone_url)
        for name, item in value.items():
            if name in _CREDENTIALS and isinstance(item, str) and item:
                yield item, clone_url
            elif name != "env":
                yield from credentials_in(item, clone_url)


def archive_digest(request):
    """The digest of the names and contents of all files in an upload (utils/files.py). None if it can't be read."""
    # Most commands send no files.
    import tarfile

    body, kind = request.body, request.headers.get("Content-Type", "")
    boundary = re.search(r'boundary="?([^";]+)', kind if isinstance(kind, str) else kind.decode())
    if boundary is None or not isinstance(body, bytes):
        return None
    start, end = body.find(b"\r\n\r\n") + 4, body.rfind(b"\r\n--" + boundary[1].encode() + b"--")
    # Exactly one part: what follows in another one would be sent unread.
    if not body.startswith(b"--" + boundary[1].encode()) or body.count(b"--" + boundary[1].encode()) != 2 or end < start:
        return None
    try:
        with tarfile.open(fileobj=io.BytesIO(body[start:end]), mode="r:") as archive:
            files = [(member.name, archive.extractfile(member).read()) for member in archive if member.isreg() or member.islnk()]
    except (tarfile.TarError, KeyError):
        return None
    entries = sorted(sha256_of(name + "\0" + hashlib.sha256(content).hexdigest()) for name, content in files)
    return sha256_of("\n".join(entries))


def body_of(request):
    body = request.body
    try:
        return json.loads(body) if isinstance(body, (str, bytes)) and body else None
    except ValueError:
        return None


def json_of(content):
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def says_missing(status, content):
    """Whether the server says that the resource doesn't exist (server/errors.py). Another error proves nothing about it."""
    answer = json_of(content) if status >= 400 else None
    detail = answer.get("detail") if isinstance(answer, dict) else None
    return isinstance(detail, list) and len(detail) == 1 and isinstance(detail[0], dict) and detail[0].get("code") == "resource_not_exists"


def name_in(spec):
    """The name in a specification; None if the server chooses one."""
    if not isinstance(spec, dict):
        return None
    configuration = spec.get("configuration")
    return spec.get("run_name") or (configuration.get("name") if isinstance(configuration, dict) else None)
