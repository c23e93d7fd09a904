import type { Transcript } from '../core/transcript.ts';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import type { NamedEnvironment } from '../configuration/named-environment.ts';
import type { ApplyRequest } from '../core/change.ts';

/** What a plan was made from, and what it says. */
export interface ApplyPlan {
  readonly request: ApplyRequest;
  readonly file: ConfigurationFile;
  readonly head: ConfigurationHead;
  readonly transcript: Transcript;
  readonly plan: PlanFacts;
  readonly project: string;
  readonly server: string;
  /** SHA-256 of the profile files right before dstack read them. */
  readonly profiles: Readonly<Record<string, string>>;
  readonly environment: NamedEnvironment;
  /** The flags beside the file, with their values and what dstack documents that they do. */
  readonly flags: readonly string[];
}
