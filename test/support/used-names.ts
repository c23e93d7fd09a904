/** The names that `uniqueName` returned to this file's tests. */
export const usedNames: string[] = [];
