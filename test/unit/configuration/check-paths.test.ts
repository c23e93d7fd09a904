import { expect, test } from 'vitest';
import { isRisky, readGitConfig } from '../../../src/configuration/check-paths.ts';

const riskyNames = (text: string): readonly string[] | undefined =>
  readGitConfig(text)
    ?.filter(isRisky)
    .map(({ name }) => name);

// As `git clone`, a submodule, `git lfs`, `gh` and a partial clone leave it.
const ORDINARY = `[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tfsmonitor = true
[extensions]
\tpartialClone = origin
[remote "origin"]
\turl = git@github.com:owner/name.git
\tfetch = +refs/heads/*:refs/remotes/origin/*
\tpartialclonefilter = blob:none
\tgh-resolved = base
[branch "main"]
\tremote = origin
\tmerge = refs/heads/main # the default
[submodule "lib"]
\tactive = true
\turl = https://github.com/owner/lib.git
\tpath = lib
[user]
\tname = "A B"
\temail = a@b.example
[lfs]
\trepositoryformatversion = 0
; the end
`;

test('the configuration of an ordinary clone is read, and is fine', () => {
  expect(riskyNames(ORDINARY)).toEqual([]);
  expect(readGitConfig(ORDINARY)).toContainEqual({
    key: 'remote.url',
    name: 'remote.origin.url',
    value: 'git@github.com:owner/name.git',
  });
  expect(riskyNames(ORDINARY.replaceAll('\n', '\r\n'))).toEqual([]);
});

test.each([
  ['[core]\nfsmonitor = /tmp/x', 'core.fsmonitor'],
  ['[core]\n\tfsmonitor = "false" # x', 'core.fsmonitor'],
  ['[CORE]\nHooksPath=x', 'CORE.HooksPath'],
  ['[core] sshCommand = x', 'core.sshCommand'],
  ['[a][core]\rgitProxy = x', 'core.gitProxy'],
  ['[core]\npager = x', 'core.pager'],
  ['[core]\nalternateRefsCommand = x', 'core.alternateRefsCommand'],
  ['[diff]\nexternal = x', 'diff.external'],
  ['[diff "d"]\ncommand = x', 'diff.d.command'],
  ['[diff.d]\ntextconv = x', 'diff.d.textconv'],
  ['[filter "f"]\nclean = x', 'filter.f.clean'],
  ['[filter "f"]\nsmudge = x', 'filter.f.smudge'],
  ['[filter "f"]\nprocess = x', 'filter.f.process'],
  ['[merge "m"]\ndriver = x', 'merge.m.driver'],
  ['[credential]\nhelper = x', 'credential.helper'],
  ['[credential "https://h"]\nhelper = x', 'credential.https://h.helper'],
  ['[include]\npath = ../x', 'include.path'],
  ['[includeIf "gitdir:/"]\npath = x', 'includeIf.gitdir:/.path'],
  ['[remote "o"]\nuploadpack = x', 'remote.o.uploadpack'],
  ['[remote "o"]\nurl = ext::sh -c x', 'remote.o.url'],
  ['[remote "o"]\nvcs = x', 'remote.o.vcs'],
  ['[uploadpack]\npackObjectsHook = x', 'uploadpack.packObjectsHook'],
  ['[submodule "s"]\nupdate = !x', 'submodule.s.update'],
  ['[protocol "ext"]\nallow = always', 'protocol.ext.allow'],
  ['[url "ext::x"]\ninsteadOf = https:', 'url.ext::x.insteadOf'],
  ['[gpg]\nprogram = x', 'gpg.program'],
  ['[lfs "customtransfer.x"]\npath = x', 'lfs.customtransfer.x.path'],
  ['[lfs "extension.x"]\nclean = x', 'lfs.extension.x.clean'],
  ['\uFEFF[core]\nfsmonitor=x', 'core.fsmonitor'],
  ['# \\\n[core]\nfsmonitor=x', 'core.fsmonitor'],
])('%j is refused because of %s', (text, name) => {
  expect(riskyNames(text)).toEqual([name]);
});

test.each([
  '[core]\na = b \\\nfsmonitor = x',
  '[core\nfsmonitor = x',
  'fsmonitor = x',
  '[core]\n= x',
  '[core]\n1a = x',
  '[a "b]\nx = y',
])('%j is not read', (text) => {
  expect(readGitConfig(text)).toBeUndefined();
});
