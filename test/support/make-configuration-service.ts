import { ConfigurationService } from '../../src/configuration/configuration-service.ts';
import { createEnvFiles } from '../../src/configuration/env-files.ts';
import type { WarmRunner } from '../../src/dstack/warm/runner.ts';
import type { AuditEntry } from '../../src/safety/audit/audit-log.ts';
import { createWorkspace } from '../../src/safety/files/workspace.ts';

export interface TestConfigurationService extends ConfigurationService {
  readonly audited: AuditEntry[];
}

export interface TestConfigurationOptions {
  readonly home: string;
  readonly introspection: WarmRunner['introspection'];
  readonly env?: Readonly<Record<string, string>>;
}

/** Creates a configuration service for a folder, and collects its audit log entries. */
export function makeConfigurationService({
  home,
  introspection,
  env = {},
}: TestConfigurationOptions): TestConfigurationService {
  const audited: AuditEntry[] = [];
  const workspace = createWorkspace({ folders: [home], home });
  const service = new ConfigurationService({
    workspace,
    envFiles: createEnvFiles({ mode: 'off', workspace, learn: () => undefined }),
    audit: { write: (entry) => audited.push(entry) },
    createdFiles: new Map(),
    cli: () => Promise.resolve({ introspection, env, isPython: true }),
  });
  return Object.assign(service, { audited });
}
