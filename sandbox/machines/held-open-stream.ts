import { Duplex } from 'node:stream';

/**
 * Wraps a stream so that ending the wrapper doesn't end what is below.
 * A WebSocket that is closed by the dstack CLI must leave its connection to the CLI, which hangs otherwise.
 */
export function holdOpen(stream: Duplex): Duplex {
  const wrapper = new Duplex({
    read: () => stream.resume(),
    write: (chunk, encoding, done) => {
      if (stream.writable) stream.write(chunk, encoding, done);
      else done();
    },
    final: (done) => done(),
  });
  stream.on('data', (chunk) => {
    if (!wrapper.push(chunk)) stream.pause();
  });
  stream.on('end', () => wrapper.push(null));
  stream.on('close', () => wrapper.destroy());
  stream.on('error', () => wrapper.destroy());
  return wrapper;
}
