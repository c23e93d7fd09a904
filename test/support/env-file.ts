import { parseEnvFile } from '../../src/configuration/parse-env-file.ts';

/** Returns the values that are read from an env file. */
export const valuesOf = (text: string): Record<string, string> => Object.fromEntries(parseEnvFile(text).values);

/** Every form of a plain value. */
export const PLAIN = `# what the run needs
export HF_TOKEN=hf_abc   # from the web page
PLAIN=a/b:c,d@e%f+g=h
  export INDENTED='single $HOME \`x\` "quoted"'
DOUBLE="a \\"b\\" \\\\ \\$c $ 5 # no comment"
JOINED=a'b c'"d"e
EMPTY=
HASH=#1
LINES="one
two"
JSON='{"a": [1, 2]}'
UNICODE=größe
HF_TOKEN=again
`;
