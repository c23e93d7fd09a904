import { describe, expect, test } from 'vitest';
import { advise, namedVariables } from '../../../src/configuration/advise.ts';
import { parseText } from '../../../src/configuration/parse-text.ts';

const adviceOn = (text: string): string[] => advise(parseText(text, 'x')).map(({ id, line }) => `${id}:${line}`);
const GOOD = 'type: task\nname: x\nmax_duration: 1h\ncommands: [a]\n';

describe('advice', () => {
  test.for([
    ['nothing on a good file', GOOD, []],
    ['a name', 'type: task\nmax_duration: 1h\ncommands: [a]\n', ['no-name:1']],
    ['a bound to what it costs', 'type: task\nname: x\ncommands: [a]\n', ['no-max-duration:1']],
    ['idle machines', 'type: fleet\nname: f\nnodes: 0..2\n', ['no-idle-duration:1']],
    ['nothing on idle machines of one’s own', 'type: fleet\nname: f\nssh_config: {hosts: [a]}\n', []],
    ['a secret in a mapping', `${GOOD}env:\n  HF_TOKEN: abc\n  MODE: x\n`, ['literal-secret:6']],
    ['a secret in a list', `${GOOD}env:\n- MODE=x\n- KEY=hf_abcdef\n`, ['literal-secret:7']],
    ['no secret that is only named', `${GOOD}env: [HF_TOKEN, 'WANDB_API_KEY=\${{ secrets.w }}']\n`, []],
    ['python beside an image', `${GOOD}image: ubuntu\npython: '3.11'\n`, ['python-with-image:6']],
    ['nodes', `${GOOD}nodes: 2\n`, ['nodes-without-cluster:5']],
    ['a network volume', `${GOOD}volumes: ['data:/data']\n`, ['volume-elsewhere:5']],
    ['no instance volume', `${GOOD}volumes: ['/data:/data']\n`, []],
    ['a comment', 'type: task\nname: x\nmax_duration: 1h\ncommands:\n- "a # note"\n- b\n', ['swallowed-command:5']],
    [
      'a heredoc',
      'type: task\nname: x\nmax_duration: 1h\ncommands:\n- |\n  cat <<EOF\n  x\n  EOF\n- b\n',
      ['swallowed-command:5'],
    ],
    ['no last comment', 'type: task\nname: x\nmax_duration: 1h\ncommands:\n- b\n- "a # note"\n', []],
    ['an OpenAI server', 'type: service\nname: s\nport: 8000\ncommands: [vllm serve m]\n', ['service-without-model:1']],
    ['no OpenAI server with its model', 'type: service\nname: s\nport: 8000\nmodel: m\ncommands: [vllm serve m]\n', []],
  ] as const)('is given on %s', ([, text, expected], { expect: check }) => {
    check(adviceOn(text)).toEqual(expected);
  });

  test('never shows the value of a variable, and always tells why and how', () => {
    const all = advise(parseText('type: task\ncommands: [a]\nenv: {HF_TOKEN: hunter2}\n', 'x'));
    expect(JSON.stringify(all)).not.toContain('hunter2');
    expect(all.find(({ id }) => id === 'literal-secret')?.why).toContain('HF_TOKEN');
    for (const { why, how } of all) expect([why.length > 20, how.length > 20]).toEqual([true, true]);
  });
});

test('variables that are only named are told apart from those with a value', () => {
  expect(namedVariables({ env: ['A', 'B=1', 3] })).toEqual(['A']);
  expect(namedVariables({ env: { A: null, B: 'x' } })).toEqual(['A']);
  expect(namedVariables({})).toEqual([]);
});
