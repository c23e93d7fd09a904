/** The names that this file's tests were given. */
export const usedNames: string[] = [];
