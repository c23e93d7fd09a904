type IsPresent<V> = null extends V ? false : undefined extends V ? false : true;

/** The same object without `null` and `undefined`: what may be absent is optional. */
export type Present<T> = { [K in keyof T as IsPresent<T[K]> extends true ? K : never]: T[K] } & {
  [K in keyof T as IsPresent<T[K]> extends true ? never : K]?: NonNullable<T[K]>;
};

/** Leaves out what is `null` or `undefined`, so that an absent fact isn't there at all. */
export function omitAbsent<T extends object>(values: T): Present<T>;
export function omitAbsent(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
}
