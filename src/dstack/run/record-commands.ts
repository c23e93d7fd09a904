import type { CheckedArgv } from '../argv/command.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { RunOptions, Runner } from './runner.ts';
import { currentCall } from '../../observability/track-calls.ts';
import type { Log } from '../../core/log.ts';

/** A runner that notes each command in the call that it is run for, and in the log. */
export function recordCommands(runner: Runner, log: Log): Runner {
  const record = async <Options extends RunOptions>(
    { command }: CheckedArgv,
    options: Options,
    run: (options: Options) => Promise<Transcript>,
  ): Promise<Transcript> => {
    const ongoing = currentCall()?.command(command);
    if (ongoing === undefined) return run(options);
    let transcript: Transcript | undefined;
    try {
      transcript = await run({ ...options, onBegin: (ran) => ongoing.begin(ran) });
      return transcript;
    } finally {
      const { startedAt: _, waitedMs, durationMs, ...facts } = ongoing.end(transcript?.exit);
      log.debug({ ...facts, waitedMs: Math.round(waitedMs), durationMs: Math.round(durationMs) }, 'command');
    }
  };
  return {
    read: (argv, options) => record(argv, options, (recorded) => runner.read(argv, recorded)),
    change: (argv, consent, options) => record(argv, options, (recorded) => runner.change(argv, consent, recorded)),
    close: () => runner.close(),
  };
}
