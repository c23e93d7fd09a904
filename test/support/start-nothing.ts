import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { afterEach } from 'vitest';

// The unit tier stays quick and runs anywhere because it starts nothing: no process, no connection, no listening socket.
// A test that needs one belongs in test/dstack or test/e2e.

const attempts: string[] = [];

/** Returns a function that rejects the call and records it, because the code under test may catch the error. */
function refuse(what: string): () => never {
  return () => {
    attempts.push(what);
    throw new Error(`A unit test must not ${what}. See docs/testing.md for the tier where it belongs.`);
  };
}

const startProcess = refuse('start a process');
Object.assign(childProcess.ChildProcess.prototype, { spawn: startProcess });
Object.assign(childProcess, { spawnSync: startProcess, execSync: startProcess, execFileSync: startProcess });
Object.assign(net.Socket.prototype, { connect: refuse('open a connection') });
Object.assign(net.Server.prototype, { listen: refuse('listen on a socket') });
syncBuiltinESMExports();

afterEach(() => {
  const [first] = attempts.splice(0);
  if (first !== undefined) throw new Error(`This test tried to ${first}, which the unit tier does not allow.`);
});
