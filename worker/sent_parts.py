"""Finds what dstack would send of this computer: files of a folder, changes in repositories, credentials of repositories and fleets."""

import hashlib
import itertools
import os


def walk(question):
    """Returns the files that dstack would put into the archive of a folder (utils/files.py), at most `limit` and one more."""
    import ignore
    import ignore.overrides

    root = question["root"]
    walker = (
        ignore.WalkBuilder(root)
        .overrides(ignore.overrides.OverrideBuilder(root).add("!/.git/").build())
        .hidden(False)
        .require_git(False)
        .add_custom_ignore_filename(".dstackignore")
        .build()
    )
    paths = [str(entry.path()) for entry in itertools.islice(walker, question["limit"] + 1)]
    return {"paths": paths}


def credentials(question):
    """Returns which credentials dstack may send for repositories and SSH fleets: each by its SHA-256, never itself."""
    return {
        "repositories": [_repository(url) for url in question["repositories"]],
        "keys": [_fleet_key(path) for path in question["keys"]],
    }


def work_trees(paths):
    """Returns what dstack reads from local Git repositories: the branch, its commit, and the size of the uncommitted changes."""
    return {"workTrees": [_work_tree(path) for path in paths]}


def _work_tree(path):
    from dstack._internal.core.models.repos.remote import RemoteRepo

    try:
        data = RemoteRepo.from_dir(path).run_repo_data
    except Exception:  # dstack's own error, or one of git
        return None
    return {"branch": data.repo_branch, "commit": data.repo_hash, "changedBytes": len(data.repo_diff or b"")}


def _repository(value):
    """Returns what dstack reads from a repository's URL, and what it tries, in its order (core/services/repos.py)."""
    from dstack._internal.core.models.repos.remote import GitRepoURL
    from dstack._internal.core.services import repos

    try:
        url = GitRepoURL.parse(value, get_ssh_config=repos.get_host_config)
    except Exception:  # dstack's own error, or one of the parsers that it uses
        return None
    identities = repos.get_host_config(url.original_host).get("identityfile") or []
    found = [("key", path, _text_of(path)) for path in identities[:1]]
    found.append(("token", repos.gh_config_path, _gh_token(repos.gh_config_path, url.host)))
    found.append(("key", repos.default_ssh_key, _text_of(repos.default_ssh_key)))
    return {
        "host": url.host,
        "url": url.as_https(),
        "cloneUrls": [url.as_https(), url.as_ssh()],
        "credentials": [
            {"kind": kind, "path": os.path.expanduser(path), "sha256": _digest(text)} for kind, path, text in found if text is not None
        ],
    }


def _text_of(path):
    try:
        with open(os.path.expanduser(path)) as file:
            return file.read()
    except (OSError, UnicodeError):
        return None


def _gh_token(path, host):
    import yaml

    text = _text_of(path)
    hosts = yaml.safe_load(text) if text is not None else None
    entry = hosts.get(host) if isinstance(hosts, dict) else None
    return entry.get("oauth_token") if isinstance(entry, dict) else None


def _fleet_key(path):
    """Returns the SHA-256 of the private key that dstack would send for a file. None if it isn't one, or its `.pub` isn't a key."""
    from dstack._internal.cli.services.configurators.fleet import _resolve_ssh_key
    from paramiko.pkey import PublicBlob

    try:
        key = _resolve_ssh_key(path)
        PublicBlob.from_string(key.public)
    except (Exception, SystemExit):  # older releases end the command
        return None
    return _digest(key.private)


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
