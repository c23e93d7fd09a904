import { describe, expect, test } from 'vitest';
import type { JobScriptInput } from '../../../sandbox/machines/write-job-script.ts';
import { writeJobScript } from '../../../sandbox/machines/write-job-script.ts';

function play(commands: readonly string[], more: Partial<JobScriptInput> = {}) {
  const script = writeJobScript({ type: 'task', commands, variables: {}, ...more });
  return { output: script.steps.map(({ text }) => text).join(''), ...script };
}

describe('the script of a simulated job', () => {
  test('prints what echo would print and exits with 0', () => {
    const { output, ending } = play([`echo one`, `echo 'two  words' "and $NAME"`, `echo -n end`], {
      variables: { NAME: 'me' },
    });
    expect(output).toBe('one\ntwo  words and me\nend');
    expect(ending).toEqual({ kind: 'exit', exitCode: 0, delayMs: 0 });
  });

  test('does not expand variables in single quotes, and expands unset ones to nothing', () => {
    expect(play([`echo '$NAME' "[$GONE]" \${GONE:-default}`], { variables: { NAME: 'me' } }).output).toBe(
      '$NAME [] default\n',
    );
  });

  test('keeps assigned and exported variables', () => {
    expect(play(['A=1', 'export B="two words"', 'echo $A $B']).output).toBe('1 two words\n');
  });

  test('shortens long sleeps', () => {
    const { steps, ending } = play(['sleep 1', 'echo a', 'sleep 30', 'echo b', 'sleep 0.2']);
    expect(steps.map(({ delayMs }) => delayMs)).toEqual([1000, 1500]);
    expect(ending).toEqual({ kind: 'exit', exitCode: 0, delayMs: 200 });
  });

  test.each(['sleep infinity', 'sleep 60', 'sleep 2h', 'tail -f /dev/null'])(
    'runs until stopped after %s',
    (command) => {
      const { output, ending } = play(['echo before', command, 'echo after']);
      expect(output).toBe('before\n');
      expect(ending).toEqual({ kind: 'until-stopped' });
    },
  );

  test('ends at exit with its code', () => {
    const { output, ending } = play(['echo a; sleep 0.5; exit 3', 'echo never']);
    expect(output).toBe('a\n');
    expect(ending).toEqual({ kind: 'exit', exitCode: 3, delayMs: 500 });
  });

  test('follows && and || as a shell does', () => {
    expect(play(['false || echo fallback', 'true || echo never', 'echo a && echo b']).output).toBe('fallback\na\nb\n');
    expect(play(['false', 'echo never']).ending).toMatchObject({ exitCode: 1 });
  });

  test('repeats the body of a for loop, also on multiple lines', () => {
    expect(play(['for i in 1 2; do echo step $i; sleep 0.1; done', 'echo done']).output).toBe('step 1\nstep 2\ndone\n');
    expect(play(['for i in $(seq 1 2 5)\ndo\n  for j in {1..2}; do\n    echo $i$j\n  done\ndone']).output).toBe(
      '11\n12\n31\n32\n51\n52\n',
    );
  });

  test('runs an infinite loop until stopped', () => {
    const { steps, ending } = play(['while true; do echo tick; sleep 1; done']);
    expect(steps.slice(0, 2)).toEqual([
      { delayMs: 0, text: 'tick\n' },
      { delayMs: 1000, text: 'tick\n' },
    ]);
    expect(ending).toEqual({ kind: 'until-stopped' });
    expect(play(['while true; do sleep 1; done']).ending).toEqual({ kind: 'until-stopped' });
  });

  test('prints commands that it does not simulate, and nothing that goes to a file', () => {
    const { output } = play(['python train.py --lr 0.1 | tee log', 'echo hidden > file', '# a comment', 'serve &']);
    expect(output).toBe('+ python train.py --lr 0.1 | tee log\n+ serve &\n');
  });

  test('prints the output of commands that the container knows', () => {
    const printCommand = (command: string) => (command === 'nvidia-smi' ? 'GPU 0\n' : undefined);
    expect(play(['nvidia-smi', 'nvcc'], { printCommand }).output).toBe('GPU 0\n+ nvcc\n');
  });

  test('skips the body of a here document', () => {
    expect(play(['cat > f.py <<EOF\necho inside\nEOF\necho after']).output).toBe('+ cat > f.py <<EOF\nafter\n');
  });

  test.each(['service', 'dev-environment'] as const)('keeps a %s up until it is stopped', (type) => {
    expect(play(['echo up'], { type }).ending).toEqual({ kind: 'until-stopped' });
    expect(play(['exit 2'], { type }).ending).toMatchObject({ kind: 'exit', exitCode: 2 });
  });

  test('keeps a task with ports up, and ends other tasks', () => {
    expect(play(['python app.py'], { opensPorts: true }).ending).toEqual({ kind: 'until-stopped' });
    expect(play(['python app.py']).ending).toMatchObject({ kind: 'exit' });
  });

  test('prints its node rank if there are several nodes', () => {
    expect(play(['echo $RANK'], { node: { rank: 1, count: 2 }, variables: { RANK: '1' } }).output).toBe(
      'node 1 of 2\n1\n',
    );
    expect(play(['echo x'], { node: { rank: 0, count: 1 } }).output).toBe('x\n');
  });
});
