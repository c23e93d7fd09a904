import type { CommandRequest } from '../argv/command.ts';
import type { Transcript } from '../../core/transcript.ts';
import { createLogPager } from '../output/page-log.ts';
import type { LogPage, LogPageRequest } from '../output/page-log.ts';
import type { DstackClient } from './dstack-client.ts';

/** Reads a log through its pager as it comes, so that memory stays bounded however long it is. */
export async function readLogPage(
  commands: DstackClient,
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
