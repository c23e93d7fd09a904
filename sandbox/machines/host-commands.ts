import type { CommandReply } from './simulated-session.ts';

/** The hardware that a simulated host reports. */
export interface HostHardware {
  readonly gpuName?: string;
  readonly gpuMemoryMiB?: number;
  readonly gpuCount: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** With its network, such as 10.0.0.1/24. */
  readonly address: string;
}

/** Answers the commands that dstack's server runs on a host when it adds it to a fleet. */
export function createHostCommands(hardware: HostHardware, dstackVersion: string): (command: string) => CommandReply {
  const hostInfo = JSON.stringify(describeHost(hardware));
  const health = JSON.stringify({ service: 'dstack-shim', version: dstackVersion });
  return (command) => {
    if (command.startsWith('uname -m')) return { stdout: 'x86_64\n', exitCode: 0 };
    if (/\bcat\b.*host_info\.json/.test(command)) return { stdout: hostInfo, exitCode: 0 };
    if (command.includes('/api/healthcheck')) return { stdout: health, exitCode: 0 };
    if (command.includes('systemctl status')) return { stdout: 'Active: active (running)\n', exitCode: 0 };
    // Other commands install software. The server treats any output as a failure.
    return { stdout: '', exitCode: 0 };
  };
}

function describeHost(hardware: HostHardware): Record<string, unknown> {
  const gpu = {
    gpu_vendor: 'nvidia',
    gpu_name: hardware.gpuName ?? 'A100-SXM4-80GB',
    gpu_memory: hardware.gpuMemoryMiB ?? 81_920,
  };
  return {
    ...(hardware.gpuCount > 0 ? gpu : {}),
    gpu_count: hardware.gpuCount,
    addresses: [hardware.address],
    disk_size: hardware.diskBytes,
    cpus: hardware.cpus,
    memory: hardware.memoryBytes,
  };
}
