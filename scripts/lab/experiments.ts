/** A measurement or check that is not part of `npm test`. */
export interface Experiment {
  readonly name: string;
  readonly what: string;
  /** Duration on two cores, after the setup. */
  readonly time: string;
  /** Needs the network even after the setup. */
  readonly network: boolean;
  /** Options of scripts/bootstrap.mjs. */
  readonly setup?: readonly string[];
  /** Defaults to `tsx scripts/lab/<name>.ts`. */
  readonly command?: readonly [program: string, ...args: string[]];
}

/** Returns the program of an experiment with its arguments. */
export const commandOf = ({ name, command }: Experiment): readonly [program: string, ...args: string[]] =>
  command ?? ['tsx', `scripts/lab/${name}.ts`];

/** Everything that `npm run lab -- <name>` runs. */
export const EXPERIMENTS: readonly Experiment[] = [
  {
    name: 'bench',
    what: 'Compares the latency and memory of a call with the bare CLI and the REST API',
    time: '5 min',
    network: false,
  },
  {
    name: 'exec',
    what: 'Compares a command by `exec` with one by `ssh` over the same connection',
    time: '1 min',
    network: false,
  },
  {
    name: 'compare',
    what: 'Compares the latency of reads, plans and changes between this build and others',
    time: '5 min',
    network: false,
  },
  {
    name: 'scale',
    what: 'Measures time and memory of a call for growing numbers of runs, instances, offers, log lines and attachments',
    time: '5 min',
    network: false,
  },
  {
    name: 'copy',
    what: 'Compares copies between the workspace and a run with scp over the same connection to a real sshd',
    time: '3 min',
    network: false,
    command: ['vitest', 'run', '--project', 'nightly', 'test/nightly/copy-speed.test.ts'],
  },
  {
    name: 'soak',
    what: 'Sends 10,000 mixed calls with cancellations and killed child processes, and looks for wrong responses and leaks',
    time: '30 min',
    network: false,
  },
  {
    name: 'equality',
    what: 'Compares the warm worker byte for byte with the bare CLI of any dstack executables',
    time: '10 min each',
    network: false,
  },
  {
    name: 'matrix',
    what: 'Runs the end-to-end tests with several releases of the dstack CLI and server',
    time: '45 min',
    network: true,
  },
  {
    name: 'corpus',
    what: 'Validates the corpus of configurations with `dstack apply` of any dstack executables',
    time: '5 min each',
    network: false,
  },
  {
    name: 'examples',
    what: "Plans every configuration of dstack's examples and documentation, and counts how the plans end",
    time: '3 min',
    network: false,
  },
  {
    name: 'protocol',
    what: 'Checks the server with the official MCP inspector, a probe and a fuzzer',
    time: '10 min',
    network: true,
  },
  {
    name: 'clients',
    what: 'Runs the examples for agent frameworks, and plans, applies and stops a run through each',
    time: '5 min',
    network: true,
  },
  {
    name: 'repeat',
    what: 'Runs the tests repeatedly and reports the flaky ones',
    time: '10 test runs',
    network: false,
    setup: ['--browser', '--older'],
  },
  {
    name: 'evals',
    what: 'Lets a model carry out everyday requests with these tools and with a shell, and judges the results',
    time: '1 min each',
    network: true,
    command: ['tsx', 'evals/main.ts'],
  },
  {
    name: 'coverage',
    what: 'Reports the coverage of the tests without a sandbox; fails below 90% of the branches',
    time: '3 min',
    network: false,
    command: ['vitest', 'run', '--project', 'unit', '--project', 'dstack', '--coverage'],
  },
  {
    name: 'mutation',
    what: 'Reports the mutation score of the safety layer; fails below 85%',
    time: '20 min',
    network: false,
    command: ['stryker', 'run'],
  },
  {
    name: 'first-paint',
    what: 'Measures the time to the first paint of a plan card with 50 offers',
    time: '10 s',
    network: false,
    setup: ['--browser'],
  },
  {
    name: 'screenshots',
    what: 'Takes the screenshots in docs/images',
    time: '1 min',
    network: false,
    setup: ['--browser'],
  },
  {
    name: 'record-transcripts',
    what: 'Records what dstack prints, for the tests of its readers',
    time: '5 min',
    network: false,
  },
  {
    name: 'record-demo',
    what: 'Runs the demo and writes its output to docs/demo.txt',
    time: '1 min',
    network: false,
  },
];
