import * as fc from 'fast-check';

/** Any code point, as the unit of a string. The unit `binary` takes fast-check a second to set up, in each process. */
export const codePoint = fc.nat(0x10_ff_ff).map((code) => String.fromCodePoint(code));
