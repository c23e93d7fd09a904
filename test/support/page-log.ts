import { createLogPager } from '../../src/dstack/output/page-log.ts';
import type { LogPage, LogPageRequest } from '../../src/dstack/output/page-log.ts';

/** Returns the page of a log that is given whole or in chunks. */
export function pageLog(log: string | Iterable<Uint8Array>, request: LogPageRequest): LogPage {
  const pager = createLogPager(request);
  for (const chunk of typeof log === 'string' ? [Buffer.from(log)] : log) pager.write(chunk);
  return pager.end();
}
