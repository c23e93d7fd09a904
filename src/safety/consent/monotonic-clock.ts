/**
 * Creates a clock of milliseconds since the epoch that no setting of the machine's clock can hold up: it goes by the wall clock or by the
 * time that has passed, whichever is further. The latter stands still while a computer sleeps, the former may be set back.
 */
export function createMonotonicClock(
  wall: () => number = Date.now,
  passing: () => number = () => performance.now(),
): () => number {
  let [now, passed] = [wall(), passing()];
  return () => {
    const before = passed;
    passed = passing();
    now = Math.max(wall(), now + passed - before);
    return now;
  };
}
