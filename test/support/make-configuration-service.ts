import type { WarmRunner } from '../../src/dstack/warm/runner.ts';
import { createConfigurationService } from '../../src/configuration/configuration-service.ts';
import type { ConfigurationService } from '../../src/configuration/configuration-service.ts';
import { createEnvFiles } from '../../src/configuration/env-files.ts';
import type { AuditEntry } from '../../src/safety/audit/audit-log.ts';
import { createWorkspace } from '../../src/safety/files/workspace.ts';

export interface TestPower extends ConfigurationService {
  readonly audited: AuditEntry[];
  /** What would be masked. */
  readonly secrets: Set<string>;
}

export interface TestPowerOptions {
  readonly home: string;
  readonly introspection: WarmRunner['introspection'];
  readonly env?: Readonly<Record<string, string>>;
  readonly readsEnvFiles?: boolean;
}

/** The power over configurations in a folder, with what it wrote into the audit log and learnt as secret. */
export function makeConfigPower({ home, introspection, env = {}, readsEnvFiles = false }: TestPowerOptions): TestPower {
  const audited: AuditEntry[] = [];
  const secrets = new Set<string>();
  const workspace = createWorkspace({ folders: [home], home });
  const learn = (more: Iterable<string>): void => {
    for (const secret of more) secrets.add(secret);
  };
  const power = createConfigurationService({
    workspace,
    envFiles: createEnvFiles({ allowed: readsEnvFiles, workspace, learn }),
    audit: { write: (entry) => audited.push(entry) },
    cli: () => Promise.resolve({ introspection, env }),
  });
  return { ...power, audited, secrets };
}
