/** Edits (insert, delete, replace, swap of two neighbours) that turn one word into the other. */
function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let least = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) least = Math.min(least, (beforePrevious[column - 2] ?? 0) + 1);
      current.push(least);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[to.length] ?? 0;
}

/** The documented names that a mistaken one most likely means, nearest first: few, or none when nothing is near. */
export function nearestNames(wanted: string, documented: readonly string[], atMost = 3): string[] {
  const word = wanted.toLowerCase().slice(0, 80);
  const bare = word.replace(/^-+/, '');
  const scored = documented.map((name) => {
    const distance = editDistance(word, name);
    const related =
      bare.length >= 3 &&
      name
        .replace(/^-+/, '')
        .split('-')
        .some((part) => bare.split(/[-_]/).includes(part));
    return {
      name,
      distance,
      near: distance <= Math.max(2, Math.floor(name.length / 3)) || related || name.startsWith(word),
    };
  });
  const near = scored.filter((candidate) => candidate.near).sort((a, b) => a.distance - b.distance);
  return near.slice(0, atMost).map((candidate) => candidate.name);
}
