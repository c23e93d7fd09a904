import { expect, test } from 'vitest';
import { tools } from '../../../tools/index.ts';
import { rankTools } from '../../support/rank-tools.ts';

// What people ask for, in their words, and the tools that are a right first step.
const REQUESTS: readonly (readonly [request: string, ...right: string[]])[] = [
  ['training', 'plan'],
  ['run a training job on a gpu', 'plan'],
  ['train my model', 'plan'],
  ['fine-tune llama on an A100', 'plan', 'offer'],
  ['launch a python script on an H100', 'plan'],
  ['python script', 'plan'],
  ['run a docker container', 'plan'],
  ['container', 'plan'],
  ['start a jupyter notebook', 'plan', 'attach'],
  ['deploy an inference service', 'plan'],
  ['serve a model as an endpoint', 'plan'],
  ['how much would it cost to run this', 'plan'],
  ['dry run of train.dstack.yml', 'plan'],
  ['create a cluster', 'plan', 'apply'],
  ['I need a dev environment with a GPU', 'plan'],
  ['submit the job', 'apply'],
  ['start the run I approved', 'apply'],
  ['redeem the token of the plan', 'apply'],
  ['what is running', 'ps'],
  ['list my jobs', 'ps'],
  ['which runs are pending in the queue', 'ps'],
  ['show finished runs', 'ps'],
  ['cheap gpu', 'offer'],
  ['a100', 'offer'],
  ['which GPUs under $1 an hour', 'offer'],
  ['cheapest H100 spot price', 'offer'],
  ['how much does an RTX 4090 cost', 'offer'],
  ['gpu availability by region', 'offer'],
  ['is a machine with 80GB memory available', 'offer'],
  ['vscode', 'attach'],
  ['open the run in VS Code', 'attach'],
  ['ssh into the machine', 'attach'],
  ['upload my script to the run', 'copy'],
  ['download the checkpoint', 'copy'],
  ['copy the plot from the run', 'copy'],
  ['scp a file', 'copy'],
  ['rsync', 'copy'],
  ['forward port 8888 to localhost', 'attach'],
  ['connect to my notebook', 'attach'],
  ['show the logs of my job', 'logs'],
  ['why did my run fail', 'logs', 'get'],
  ['read the output and the traceback', 'logs'],
  ['tail the last lines', 'logs'],
  ['cancel', 'stop'],
  ['kill the job', 'stop'],
  ['stop my run', 'stop'],
  ['terminate training', 'stop'],
  ['abort the run now', 'stop'],
  ['list my fleets', 'fleet'],
  ['which machines are idle', 'fleet'],
  ['nodes of the cluster', 'fleet'],
  ['delete the volume', 'delete'],
  ['remove a fleet', 'delete'],
  ['shut down the idle machine', 'delete'],
  ['status of my run', 'get', 'ps'],
  ['wait until it is running', 'get'],
  ['url of my service', 'get'],
  ['list my volumes', 'list'],
  ['which secrets do I have', 'list'],
  ['what happened to my run and when', 'event'],
  ['gpu utilization', 'metrics'],
  ['is it out of memory', 'metrics'],
  ['check yaml configuration', 'config'],
  ['edit the yaml file', 'write_config'],
  ['is dstack set up correctly', 'doctor'],
];

test('of 65 everyday requests, at least 62 have a right tool among the first three', () => {
  const listed = tools.filter(({ card }) => card !== 'buttons');
  const missed = REQUESTS.flatMap(([request, ...right]) => {
    const first = rankTools(request, listed).slice(0, 3);
    return first.some((name) => right.includes(name)) ? [] : [`${request}: ${first.join(', ')}`];
  });
  expect(REQUESTS).toHaveLength(65);
  expect(missed.length, missed.join('\n')).toBeLessThanOrEqual(3);
});

test('the words of a description that people search for are within the first 157 characters, which some hosts cut at', () => {
  const cut = tools
    .filter(({ card }) => card !== 'buttons')
    .map(({ name, description }) => ({ name, description: description.slice(0, 157) }));
  const missed = REQUESTS.filter(([request, ...right]) => {
    const first = rankTools(request, cut).slice(0, 3);
    return !first.some((name) => right.includes(name));
  });
  expect(missed.length, missed.map(([request]) => request).join('\n')).toBeLessThanOrEqual(6);
});
