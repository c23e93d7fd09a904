/** A wording that the style guide in CONTRIBUTING.md rejects. */
export interface WordRule {
  readonly pattern: RegExp;
  /** The standard wording. */
  readonly instead: string;
}

/** Wordings that are rejected in documentation, comments, messages and test titles. */
export const WORD_RULES: readonly WordRule[] = [
  { pattern: /\bmend(?:s|ed|ing)?\b/, instead: 'fix' },
  { pattern: /\banew\b/, instead: 'again' },
  { pattern: /\bfor ever\b/, instead: 'forever' },
  { pattern: /\btold\b/, instead: 'reported, returned' },
  { pattern: /\b(?:tells?|says?|said|say) of\b/, instead: 'reports, describes' },
  { pattern: /\bwhat there is\b|\bthat (?:is|are) there\b|\bthere already\b/, instead: 'existing, available' },
  { pattern: /\b(?:can|could|to) be had\b/, instead: 'available' },
  { pattern: /\bas (?:it|they) (?:is|are|was|were)(?=[.,;:)'"`]|$)/, instead: 'unchanged, current' },
  { pattern: /\b(?:as|how|where) things (?:stand|stood|are)\b/, instead: 'right now, the current state' },
  { pattern: /\bso already\b/, instead: 'unchanged, already has that value' },
  { pattern: /\blet(?:s|ting)? (?:\w+ )?through\b/, instead: 'allow' },
  { pattern: /\b(?:holds?|held|holding) (?:\w+ )?to\b/, instead: 'enforce, check against' },
  { pattern: /\b(?:goes|go|going|went) by\b/, instead: 'use' },
  { pattern: /(?<!\bit )\b(?:takes?|taken|took) for\b/, instead: 'treat as' },
  { pattern: /\bgives\b(?! up)/, instead: 'returns' },
  { pattern: /\bunless (?:given|named|told|said)\b/, instead: 'Defaults to …' },
  {
    pattern: /(?<!\b(?:[Tt]here|[Hh]ere) )\b(?:is|are|was|were) no (?!longer\b|more\b|fewer\b|less\b|one\b|later\b)/,
    instead: "isn't a …",
  },
  { pattern: /\b(?:user|person|operator|somebody|model)'s (?:word|yes|no)\b/, instead: 'approval, rejection' },
  { pattern: /\b(?:a|an|the|their|its|your) (?:yes|no)\b(?![-"'`])/, instead: 'approval, rejection' },
  { pattern: /\bword for word\b/, instead: 'verbatim' },
  { pattern: /\bby (?:itself|themselves)\b/, instead: 'automatically' },
  { pattern: /\bof (?:its|their|his|your|our) own\b|\bof (?:theirs|ours)\b/, instead: 'its own …, separate' },
  { pattern: /\bbesides?\b/, instead: 'next to, in addition to' },
  { pattern: /\b(?:comes?|came|coming) (?:to|of)\b/, instead: 'results in, the result of' },
  { pattern: /\b(?:brings?|brought|bringing)\b/, instead: 'returns, contains, moves' },
  { pattern: /\b(?:stands?|stood)\b(?! for\b| in for\b|-)/, instead: 'is' },
  { pattern: /\bwhatever (?:is|was|there)\b/, instead: 'any, regardless of' },
  { pattern: /\blet go\b/, instead: 'release' },
  { pattern: /\bset-ups?\b(?!-)/, instead: 'setup' },
  { pattern: /\btime-outs?\b/, instead: 'timeout' },
  { pattern: /\b(?:a|an|another|one|the first|the next) look\b(?!-)/, instead: 'check, read' },
  { pattern: /\bthe way of\b(?! (?:that|this))/, instead: 'the lifecycle of, as on' },
  { pattern: /\bat work on\b/, instead: 'processing' },
  { pattern: /\b(?:in|out of) step with\b/, instead: 'up to date with' },
  { pattern: /\bnow and then\b/, instead: 'sometimes, periodically' },
  { pattern: /\b(?:thereof|therein|wherein|whereby|herein|whilst|amongst|thus|hence)\b/, instead: 'a plain word' },
  {
    pattern:
      /\b(?:(?:behavi|col|fav|hon|neighb)our|catalogue|judgement|licence|labelled\b|artefact|centre|defence|analyse)/,
    instead: 'American spelling',
  },
  {
    pattern:
      /\b(?:recogni|organi|normali|summari|seriali|initiali|synchroni|authori|capitali|minimi|optimi)s(?:e|ing|ation)/,
    instead: 'American spelling',
  },
  {
    pattern: /^\s*(?:\/\*\*|""") ?(?:What|How(?! (?:long|many|much|often)\b)|Where|Who|Those|That) /,
    instead: 'a docstring that starts with a verb',
  },
];
