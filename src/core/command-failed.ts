import type { Report } from './report.ts';

/** dstack said no, or couldn't be asked: carries the report that the call ends with. Expected, so not a bug. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly report: Report<Record<string, unknown>>;

  constructor(report: Report<Record<string, unknown>>) {
    super(report.summary);
    this.report = report;
  }
}
