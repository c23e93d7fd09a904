import type { HostHardware } from './host-commands.ts';
import type { CommandReply } from './simulated-session.ts';

/** The values that commands in a simulated container can print. */
export interface ContainerFacts {
  readonly hostName: string;
  readonly hardware: HostHardware;
  readonly gpuCount: number;
  readonly gpuUtilization: number;
}

/** Answers a command of `ssh <run>` on a system that can't isolate real ones. All but a few commands are not found. */
export function runContainerCommand(command: string, facts: ContainerFacts): CommandReply {
  const [name = '', ...words] = command.trim().split(/\s+/);
  switch (name) {
    case 'echo':
      return print(words.map((word) => word.replace(/^(['"])(.*)\1$/, '$2')).join(' '));
    case 'hostname':
      return print(facts.hostName);
    case 'whoami':
      return print('root');
    case 'id':
      return print('uid=0(root) gid=0(root) groups=0(root)');
    case 'pwd':
      return print('/workflow');
    case 'nproc':
      return print(String(facts.hardware.cpus));
    case 'uname':
      return print(words[0] === '-m' ? 'x86_64' : 'Linux');
    case 'true':
      return { stdout: '', exitCode: 0 };
    case 'nvidia-smi':
      return facts.gpuCount > 0 ? print(listGpus(facts)) : notFound(name);
    default:
      return notFound(name);
  }
}

function print(text: string): CommandReply {
  return { stdout: `${text}\n`, exitCode: 0 };
}

function notFound(name: string): CommandReply {
  return { stdout: '', stderr: `bash: line 1: ${name}: command not found\n`, exitCode: 127 };
}

/** Returns what nvidia-smi prints, or nothing without GPUs. */
export function listGpus({ hardware, gpuCount, gpuUtilization }: ContainerFacts): string {
  const name = `NVIDIA ${hardware.gpuName ?? 'GPU'}`;
  const details = `${hardware.gpuMemoryMiB ?? 0} MiB, ${gpuUtilization} % utilization (simulated)`;
  return Array.from({ length: gpuCount }, (_, index) => `GPU ${index}: ${name}, ${details}`).join('\n');
}
