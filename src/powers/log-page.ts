import type { CommandRequest } from '../cli/command.ts';
import type { Transcript } from '../cli/runner.ts';
import { createLogPager } from '../runs/page-log.ts';
import type { LogPage, LogPageRequest } from '../runs/page-log.ts';
import type { CommandRunner } from './command-runner.ts';

/** Reads a log through its pager as it comes, so that memory stays bounded however long it is. */
export async function readLogPage(
  commands: CommandRunner,
  request: CommandRequest,
  page: LogPageRequest,
): Promise<{ transcript: Transcript; page: LogPage }> {
  let pager = createLogPager(page);
  const transcript = await commands.read(request, {
    sink: {
      write: (chunk) => pager.write(chunk),
      reset: () => {
        pager = createLogPager(page);
      },
    },
  });
  return { transcript, page: pager.end() };
}
