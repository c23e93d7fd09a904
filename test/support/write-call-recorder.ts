import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

// Both are in the caller's home folder, because all tests share one executable, whose help pages are read once.

/** The calls of the executable. */
export const CALL_LOG = 'calls.jsonl';
/** Python code for some of its commands (faulty-cli.ts). */
export const FAULTS = 'faults.json';

/** Writes the executable that all tests share, and returns its path. */
export async function writeRecorder(folder: string, real: string): Promise<string> {
  const cli = path.join(folder, 'dstack');
  // It records what argparse is about to parse, because a warm worker starts the script long before it gets arguments. It continues in
  // the same process, like an entry script, so that a file in memory stays there.
  const script = `#!${path.join(path.dirname(real), 'python')}
import argparse, atexit, json, os, sys

def note(event):
    with open(os.path.join(os.environ["HOME"], "${CALL_LOG}"), "a") as log:
        log.write(json.dumps({"event": event, "argv": sys.argv[1:]}) + "\\n")

# A separate process for one command: most of its time is spent on these imports.
if sys.argv[1:]:
    note("load")
    faults = os.path.join(os.environ["HOME"], "${FAULTS}")
    for fault in json.load(open(faults)) if os.path.exists(faults) else []:
        if "--help" not in sys.argv and set(fault["words"]) <= set(sys.argv):
            exec(fault["python"])
from dstack._internal.cli.main import main

parse = argparse.ArgumentParser._parse_known_args

def noted(*args, **kwargs):
    argparse.ArgumentParser._parse_known_args = parse
    # Without arguments it is only looked at: its parser is read for what it documents.
    if sys.argv[1:]:
        note("start")
        atexit.register(note, "end")
    return parse(*args, **kwargs)

argparse.ArgumentParser._parse_known_args = noted
sys.exit(main())
`;
  await mkdir(folder, { recursive: true });
  await writeFile(cli, script, { mode: 0o755 });
  return cli;
}
