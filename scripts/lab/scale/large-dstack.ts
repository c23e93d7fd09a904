import { chmod, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Numbers of resources that the CLI reports. */
export interface Sizes {
  readonly runs: number;
  readonly instances: number;
  readonly offers: number;
  readonly logMegabytes: number;
  readonly secrets: number;
}

/** A dstack CLI that reports configurable numbers of resources. */
export interface LargeDstack {
  readonly cli: string;
  resize(sizes: Partial<Sizes>): Promise<void>;
}

const SCRIPT = `
import json
import os
import sys
import uuid

from dstack._internal.cli.main import main
from dstack._internal.core.models.secrets import Secret
from dstack.api._public.runs import Run
from dstack.api.server._fleets import FleetsAPIClient
from dstack.api.server._runs import RunsAPIClient
from dstack.api.server._secrets import SecretsAPIClient

SIZES = os.path.join(os.path.dirname(os.path.realpath(__file__)), "sizes.json")


def size(name):
    with open(SIZES) as file:
        return json.load(file)[name]


def repeated(items, count):
    return (list(items) * (count // max(len(items), 1) + 1))[:count]


def logs(self, *args, **kwargs):
    for first in range(0, size("logMegabytes") * 10_000, 1000):
        yield b"".join(b"%07d %s\\n" % (number, b"x" * 91) for number in range(first, first + 1000))


list_runs = RunsAPIClient.list
list_fleets = FleetsAPIClient.list
get_plan = RunsAPIClient.get_plan


# Like the server: no more than the command asks for.
def many_runs(self, *args, limit=100, only_active=False, **kwargs):
    return repeated(list_runs(self, *args, limit=1, **kwargs), min(limit, size("runs")))


def many_instances(self, *args, **kwargs):
    fleets = [fleet for fleet in list_fleets(self, *args, **kwargs) if fleet.instances]
    for fleet in fleets:
        fleet.instances = repeated(fleet.instances, size("instances") // len(fleets))
    return fleets


def many_offers(self, *args, max_offers=None, **kwargs):
    plan = get_plan(self, *args, max_offers=max_offers, **kwargs)
    for job in plan.job_plans:
        job.offers = repeated(job.offers, min(max_offers or size("offers"), size("offers")))
        job.total_offers = size("offers")
    return plan


def many_secrets(self, *args, **kwargs):
    return [Secret(id=uuid.uuid4(), name="secret-%d" % number) for number in range(size("secrets"))]


Run.logs = logs
SecretsAPIClient.list = many_secrets
RunsAPIClient.list = many_runs
FleetsAPIClient.list = many_instances
RunsAPIClient.get_plan = many_offers

if __name__ == "__main__":
    sys.exit(main())
`;

/**
 * Writes an entry script that patches the real CLI to report many resources, so that no server has to be filled for a measurement.
 * It repeats the run, instances and offers of the sandbox, and prints a log of numbered lines.
 */
export async function writeLargeDstack(folder: string, realCli: string): Promise<LargeDstack> {
  const cli = path.join(folder, 'dstack');
  let current: Sizes = { runs: 1, instances: 1, offers: 1, logMegabytes: 1, secrets: 1 };
  const resize = async (sizes: Partial<Sizes>): Promise<void> => {
    current = { ...current, ...sizes };
    const file = path.join(folder, 'sizes.json');
    await writeFile(`${file}.new`, JSON.stringify(current));
    await rename(`${file}.new`, file);
  };
  await writeFile(cli, `#!${path.join(path.dirname(realCli), 'python')}${SCRIPT}`);
  await chmod(cli, 0o755);
  await resize({});
  return { cli, resize };
}
