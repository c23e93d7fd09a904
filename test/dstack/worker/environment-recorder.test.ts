import { expect, test } from 'vitest';
import { runPython } from '../../support/run-python.ts';

const recorded = (code: string): Promise<unknown> =>
  runPython(
    `import os\nimport environment_recorder as recorder\nrecorder.start_recording()\n${code}\nprint(json.dumps(recorder.stop_recording()))`,
    { env: { A: '1', B: '2' } },
  );

test('each variable that is read is recorded, however it is read', async () => {
  const code =
    'os.environ["A"]; os.getenv("B"); "C" in os.environ; os.environ.get("D", "x"); os.environ.setdefault("E", "y")';
  expect(await recorded(code)).toEqual(['A', 'B', 'C', 'D', 'E']);
});

test('a copy of the environment counts as reading everything', async () => {
  expect(await recorded('dict(os.environ)')).toContain('*');
  expect(await recorded('os.environ.copy()')).toEqual(['*']);
});

test('muted reads and reads after the end are not recorded', async () => {
  const code =
    'with recorder.muted(): os.environ["A"]\nnames = recorder.stop_recording(); os.environ["B"]; recorder.start_recording()';
  expect(await recorded(code)).toEqual([]);
});

test('the mapping stays the same object, and setting works', async () => {
  const code =
    'before = os.environ\nos.environ["NEW"] = "x"\nassert before is os.environ and os.popen("echo $NEW").read() == "x\\n"';
  expect(await recorded(code)).not.toContain('NEW');
});
