import { describe, expect, test } from 'vitest';
import { advise } from '../../../src/configuration/check-configuration.ts';
import { namedVariables } from '../../../src/configuration/env-files.ts';
import { parseText } from '../../../src/configuration/configuration-text.ts';

const adviceOn = (text: string): string[] => advise(parseText(text, 'x')).map(({ id, line }) => `${id}:${line}`);
const GOOD = 'type: task\nname: x\nmax_duration: 1h\ncommands: [a]\n';

describe('advice', () => {
  test.for([
    ['nothing on a good file', GOOD, []],
    ['a missing name', 'type: task\nmax_duration: 1h\ncommands: [a]\n', ['no-name:1']],
    ['a missing idle_duration', 'type: fleet\nname: f\nnodes: 0..2\n', ['no-idle-duration:1']],
    ['nothing on an SSH fleet', 'type: fleet\nname: f\nssh_config: {hosts: [a]}\n', []],
    ['a secret in a mapping', `${GOOD}env:\n  HF_TOKEN: abc\n  MODE: x\n`, ['literal-secret:6']],
    ['a secret in a list', `${GOOD}env:\n- MODE=x\n- KEY=hf_abcdef\n`, ['literal-secret:7']],
    ['nothing on a secret without its value', `${GOOD}env: [HF_TOKEN, 'WANDB_API_KEY=\${{ secrets.w }}']\n`, []],
    ['python with an image', `${GOOD}image: ubuntu\npython: '3.11'\n`, ['python-with-image:6']],
    ['several nodes', `${GOOD}nodes: 2\n`, ['nodes-without-cluster:5']],
    ['a network volume', `${GOOD}volumes: ['data:/data']\n`, ['volume-elsewhere:5']],
    ['nothing on an instance volume', `${GOOD}volumes: ['/data:/data']\n`, []],
    [
      'a comment that swallows commands',
      'type: task\nname: x\nmax_duration: 1h\ncommands:\n- "a # note"\n- b\n',
      ['swallowed-command:5'],
    ],
    [
      'a heredoc that swallows commands',
      'type: task\nname: x\nmax_duration: 1h\ncommands:\n- |\n  cat <<EOF\n  x\n  EOF\n- b\n',
      ['swallowed-command:5'],
    ],
    [
      'nothing on a comment in the last command',
      'type: task\nname: x\nmax_duration: 1h\ncommands:\n- b\n- "a # note"\n',
      [],
    ],
    ['an OpenAI server', 'type: service\nname: s\nport: 8000\ncommands: [vllm serve m]\n', ['service-without-model:1']],
    [
      'nothing on an OpenAI server with its model',
      'type: service\nname: s\nport: 8000\nmodel: m\ncommands: [vllm serve m]\n',
      [],
    ],
  ] as const)('is given on %s', ([, text, expected], { expect: check }) => {
    check(adviceOn(text)).toEqual(expected);
  });

  test('never shows the value of a variable, and always has a reason and a fix', () => {
    const all = advise(parseText('type: task\ncommands: [a]\nenv: {HF_TOKEN: hunter2}\n', 'x'));
    expect(JSON.stringify(all)).not.toContain('hunter2');
    expect(all.find(({ id }) => id === 'literal-secret')?.why).toContain('HF_TOKEN');
    for (const { why, how } of all) expect([why.length > 20, how.length > 20]).toEqual([true, true]);
  });
});

test('named variables are those without a value', () => {
  expect(namedVariables({ env: ['A', 'B=1', 3] })).toEqual(['A']);
  expect(namedVariables({ env: { A: null, B: 'x' } })).toEqual(['A']);
  expect(namedVariables({})).toEqual([]);
});
