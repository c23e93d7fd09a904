import { expect, test } from 'vitest';
import { interpreterNamedIn, readWrapper } from '../../../../src/dstack/locate/read-wrapper.ts';

test.each([
  ['#!/a/b/python3\n', '/a/b/python3'],
  ['#! /a/b/python3.12\r\n', '/a/b/python3.12'],
  ['#!/usr/bin/env python3\n', 'python3'],
  ['#!/usr/bin/env -S python3\n', 'python3'],
  [`#!/bin/sh\n'''exec' "/with space/python" "$0" "$@"\n' '''\n`, '/with space/python'],
  [`#!/bin/sh\n'''exec' '/with space/python' "$0" "$@"\n' '''\n`, '/with space/python'],
  [`#!/bin/sh\n'''exec' /long/python "$0" "$@"\n' '''\n`, '/long/python'],
  [`#!/bin/sh\n'''exec' "$(dirname -- "$0")"/python "$0" "$@"\n' '''\n`, '/bin/sh'],
  ['#!/a/python3 -I\n', undefined],
  ['import sys\n', undefined],
  ['', undefined],
])('%j names %s', (text, interpreter) => {
  expect(interpreterNamedIn(text)).toBe(interpreter);
});

const read = (text: string) => readWrapper(text, { HOME: '/home/me', PATH: '/usr/bin' });

test('the shim of pyenv and those of asdf are recognized, with the versions that they list', () => {
  const pyenv = `#!/usr/bin/env bash
set -e
[ -n "$PYENV_DEBUG" ] && set -x

program="\${0##*/}"

export PYENV_ROOT="/home/me/.pyenv"
exec "/home/me/.pyenv/libexec/pyenv" exec "$program" "$@"
`;
  expect(read(pyenv)).toEqual({ kind: 'shim', tool: 'pyenv', versions: [] });
  const asdf = '#!/usr/bin/env bash\n# asdf-plugin: python 3.11.7\n# asdf-plugin: python 3.12.0\n';
  const versions = ['3.11.7', '3.12.0'];
  expect(read(`${asdf}exec /home/me/.asdf/bin/asdf exec "dstack" "$@" # asdf_allow: ' asdf '\n`)).toEqual({
    kind: 'shim',
    tool: 'asdf',
    versions,
  });
  expect(read(`${asdf}exec asdf exec "dstack" "$@"\n`)).toMatchObject({ tool: 'asdf', versions });
});

test.each([
  ['#!/bin/sh\nexec /v/bin/python /v/bin/dstack "$@"\n', ['/v/bin/python', '/v/bin/dstack'], {}],
  ['#!/bin/bash\n# mine\nset -eu\nexec "$HOME/my venv/bin/dstack" "$@"\n', ['/home/me/my venv/bin/dstack'], {}],
  [`#!/bin/sh\nexport A='x y'\nB=1\nexport B\nexec -a "$0" '/v/dstack' "$@"`, ['/v/dstack'], { A: 'x y', B: '1' }],
])('%j runs %j', (text, argv, env) => {
  expect(read(text)).toEqual({ kind: 'exec', argv, env });
});

test('a wrapper of Nix is followed, with its folders in front of PATH', () => {
  const text = String.raw`#! /nix/store/b-bash-5.2/bin/bash -e
PATH=${"${PATH:+':'$PATH':'}"}
PATH=${"${PATH/':''/nix/store/a-git/bin'':'/':'}"}
PATH='/nix/store/a-git/bin'$PATH
PATH=${"${PATH#':'}"}
PATH=${"${PATH%':'}"}
export PATH
export PYTHONNOUSERSITE='true'
exec -a "$0" "/nix/store/d-dstack/bin/.dstack-wrapped" "$@"
`;
  expect(read(text)).toEqual({
    kind: 'exec',
    argv: ['/nix/store/d-dstack/bin/.dstack-wrapped'],
    env: { PATH: '/nix/store/a-git/bin:/usr/bin', PYTHONNOUSERSITE: 'true' },
  });
});

test.each([
  ['\u007fELF', 'it is a program, not a script'],
  ['#!/usr/bin/perl\n', 'it is a script in another language'],
  ['#!/a/python3 -I\n', 'it starts Python with options'],
  ['#!/bin/sh\n/v/bin/dstack "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec dstack "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec /v/dstack $@\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec "$VENV/bin/dstack" "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec "/v/$(id)/dstack" "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec /v/dstack "$@"; rm x "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\n. /v/activate\nexec /v/dstack "$@"\n', 'it is a shell script that does more than start Python'],
  ['#!/bin/sh\nPATH=/x\nexec /v/dstack "$@"\n', 'it is a shell script that does more than start Python'],
  ['#!/bin/sh\nexport A=$(id)\nexec /v/dstack "$@"\n', 'it is a shell script that does more than start Python'],
])('%j is not resolved: %s', (text, why) => {
  expect(read(text)).toEqual({ kind: 'other', why });
});
