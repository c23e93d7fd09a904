/** One thing that a need asks for. */
export interface Asked {
  /** As it was said, for telling that it wasn't used. */
  readonly said: string;
  /** Where it may go, the first that a type has; `[]` behind a property that takes a list. */
  readonly places: readonly string[];
  readonly values: readonly (string | number)[];
}

/** A need, as far as it is understood. */
export interface Need {
  readonly asked: readonly Asked[];
  /** Words that mean nothing here. */
  readonly unknown: readonly string[];
}

interface Word {
  readonly names: readonly string[];
  readonly places: readonly string[];
  readonly form: RegExp;
  /** It may stand without its name: the form says enough. */
  readonly bare?: RegExp;
  /** Stays a text, also where it looks like a number. */
  readonly isText?: true;
  /** A size that is meant as the least: dstack takes a plain one for exactly that. */
  readonly isLeast?: true;
}

const GPU = /^[A-Z]{1,3}\d{1,4}\w*(?::\d+GB)?(?::\d+)?$/;
const SIZE = /^\d+(?:\.\d+)?(?:MB|GB|TB)$/i;
const COUNT = /^\d{1,4}(?:\.\.\d{0,4})?$/;
const LABEL = /^[a-z][\w-]*$/;

/** What can be asked for: the words for it, what it looks like, where it goes. */
const WORDS: readonly Word[] = [
  { names: ['gpu', 'gpus'], places: ['resources.gpu'], form: /^[\w.:]+$/, bare: GPU },
  { names: ['cpu', 'cpus', 'cores'], places: ['resources.cpu'], form: COUNT },
  { names: ['memory', 'ram'], places: ['resources.memory'], form: SIZE, isLeast: true },
  { names: ['disk'], places: ['resources.disk'], form: SIZE, isLeast: true },
  { names: ['size'], places: ['size'], form: SIZE },
  { names: ['port', 'ports'], places: ['ports[]', 'port'], form: /^\d{1,5}$/ },
  {
    names: ['image'],
    places: ['image'],
    form: /^[\w./:@-]+$/,
    bare: /^[a-z][\w.-]*(?:\/[\w.-]+)*:[\w.-]+$/,
    isText: true,
  },
  { names: ['model'], places: ['model'], form: /^[\w./-]+$/, bare: /^[A-Za-z][\w.-]*\/[\w.-]+$/, isText: true },
  { names: ['python'], places: ['python'], form: /^3\.\d+$/, isText: true },
  { names: ['ide'], places: ['ide'], form: LABEL, bare: /^(?:vscode|cursor|windsurf)$/ },
  { names: ['nodes'], places: ['nodes'], form: COUNT },
  { names: ['replicas'], places: ['replicas'], form: COUNT },
  { names: ['name'], places: ['name'], form: /^[a-z][a-z0-9-]{1,40}$/, isText: true },
  { names: ['backend', 'backends'], places: ['backend', 'backends[]'], form: LABEL },
  { names: ['region', 'regions'], places: ['region', 'regions[]'], form: /^[\w-]+$/, isText: true },
  { names: ['fleet', 'fleets'], places: ['fleets[]'], form: LABEL },
  { names: ['volume', 'volumes'], places: ['volumes[]'], form: /^[\w./-]+:\/[\w./-]+$/ },
  { names: ['domain'], places: ['domain'], form: /^[\w-]+(?:\.[\w-]+)+$/ },
  { names: ['price', 'max_price'], places: ['max_price'], form: /^\d+(?:\.\d+)?$/ },
  { names: ['duration', 'max_duration'], places: ['max_duration'], form: /^\d+[smhdw]$/ },
  { names: ['spot_policy'], places: ['spot_policy'], form: LABEL, bare: /^(?:spot|on-demand)$/ },
  { names: ['placement'], places: ['placement'], form: LABEL, bare: /^cluster$/ },
];

/** Words between the others, which say nothing. */
const FILLERS: ReadonlySet<string> = new Set(
  'a an and at based be for from i in it like need of on please the to use using want with'.split(' '),
);

/**
 * Reads a need: names with their values (`gpu A100:2`, `port 8000`), and what needs no name since its form says what it is (`2x H100`,
 * `org/model`, `image:tag`). Nothing is guessed: words that mean nothing here are told.
 */
export function readNeed(need: string): Need {
  const tokens = tokenize(need);
  const asked: Asked[] = [];
  const unknown: string[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] ?? '';
    const named = WORDS.find(({ names }) => names.includes(token.toLowerCase()));
    const next = tokens[at + 1];
    if (named !== undefined && next !== undefined && next.split(',').every((one) => named.form.test(one))) {
      asked.push(toAsked(named, next, `${token} ${next}`));
      at += 1;
      continue;
    }
    const bare = WORDS.find((word) => word.bare?.test(token));
    if (bare !== undefined) asked.push(toAsked(bare, token, token));
    else unknown.push(token);
  }
  return { asked, unknown };
}

function tokenize(need: string): string[] {
  return (
    need
      // A count before a GPU, as people write it, in dstack's own way.
      .replace(/(?<![\w.:])(\d{1,3})\s*[x×]\s*([A-Z]{1,3}\d{1,4}\w*(?::\d+GB)?)(?![\w:])/g, '$2:$1')
      .replace(/\$(?=\d)/g, '')
      .replace(/,\s+/g, ' ')
      .split(/\s+/)
      .flatMap(splitName)
      .map((token) => token.replace(/[.,;:!?]+$/, ''))
      .filter((token) => token !== '' && !FILLERS.has(token.toLowerCase()))
  );
}

/** `gpu=A100` and `port:8000`, but not `image:tag`. */
function splitName(token: string): readonly string[] {
  const [, name = '', value = ''] = /^([a-z_]+)[=:](.+)$/.exec(token) ?? [];
  return WORDS.some(({ names }) => names.includes(name)) ? [name, value] : [token];
}

function toAsked({ places, isText, isLeast }: Word, value: string, said: string): Asked {
  const values = value.split(',').map((one) => {
    if (isLeast) return `${one}..`;
    return !isText && /^\d+(?:\.\d+)?$/.test(one) ? Number(one) : one;
  });
  return { said, places, values };
}

/** The names that a need can hold, for telling them. */
export const NEED_NAMES: readonly string[] = WORDS.flatMap(({ names }) => names.slice(0, 1));
