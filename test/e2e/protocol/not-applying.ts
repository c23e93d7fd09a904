/** The tested protocol revisions with their scenarios. */
export const REVISIONS = ['2026-07-28', '2025-11-25'] as const;
export type Revision = (typeof REVISIONS)[number];

/** A check of the conformance suite that doesn't apply, because the server lacks the feature. */
export interface NotApplying {
  /** `scenario:check`, as the suite prints them. */
  readonly check: string;
  readonly revisions: readonly Revision[];
  readonly why: string;
}

const BOTH = REVISIONS;
const NEWER = ['2026-07-28'] as const;
const OLDER = ['2025-11-25'] as const;

const TEXT_ONLY = 'tools return only text and structured content';
const OWN_RESOURCES = 'the resource is one of the suite; test/e2e/resources.test.ts reads those that there are';
const OWN_PROMPTS = 'the prompt is one of the suite; test/e2e/prompts.test.ts gets those that there are';
const NO_SAMPLING = 'this server asks no model';
const NO_ROOTS = 'this server asks for no roots: the workspace is a setting';
const NO_LOGGING = 'logs go to standard error, and the capability is not declared';
const OWN_QUESTION =
  'the one question of this server is whether a change is agreed to; test/e2e/consent.test.ts answers it';
const NO_HEADERS = 'no tool takes an argument from an HTTP header, since there is no HTTP';

/** Rules that don't apply, and why. A rule that applies after all, or is met, must be removed from this list. */
export const NOT_APPLYING: readonly NotApplying[] = [
  { check: 'tools-call-image:tools-call-image', revisions: BOTH, why: TEXT_ONLY },
  { check: 'tools-call-audio:tools-call-audio', revisions: BOTH, why: TEXT_ONLY },
  { check: 'tools-call-embedded-resource:tools-call-embedded-resource', revisions: BOTH, why: TEXT_ONLY },
  { check: 'tools-call-mixed-content:tools-call-mixed-content', revisions: BOTH, why: TEXT_ONLY },
  {
    check: 'json-schema-2020-12:json-schema-2020-12-tool-found',
    revisions: BOTH,
    why: 'no schema uses `$ref`, `$defs` or `$anchor`: several hosts refuse them, see test/protocol/host-rules.ts',
  },
  { check: 'resources-read-text:resources-read-text', revisions: BOTH, why: OWN_RESOURCES },
  { check: 'resources-read-binary:resources-read-binary', revisions: BOTH, why: 'no resource is binary' },
  { check: 'resources-templates-read:resources-templates-read', revisions: BOTH, why: OWN_RESOURCES },
  { check: 'resources-subscribe:resources-subscribe', revisions: OLDER, why: OWN_RESOURCES },
  { check: 'resources-unsubscribe:resources-unsubscribe', revisions: OLDER, why: OWN_RESOURCES },
  { check: 'prompts-get-simple:prompts-get-simple', revisions: BOTH, why: OWN_PROMPTS },
  { check: 'prompts-get-with-args:prompts-get-with-args', revisions: BOTH, why: OWN_PROMPTS },
  { check: 'prompts-get-embedded-resource:prompts-get-embedded-resource', revisions: BOTH, why: OWN_PROMPTS },
  { check: 'prompts-get-with-image:prompts-get-with-image', revisions: BOTH, why: 'no prompt has a picture' },
  { check: 'completion-complete:completion-complete', revisions: BOTH, why: OWN_PROMPTS },
  { check: 'logging-set-level:logging-set-level', revisions: OLDER, why: NO_LOGGING },
  { check: 'tools-call-with-logging:tools-call-with-logging', revisions: OLDER, why: NO_LOGGING },
  { check: 'tools-call-sampling:tools-call-sampling', revisions: OLDER, why: NO_SAMPLING },
  { check: 'tools-call-elicitation:tools-call-elicitation', revisions: OLDER, why: OWN_QUESTION },
  { check: 'elicitation-sep1034-defaults:elicitation-sep1034-general', revisions: OLDER, why: OWN_QUESTION },
  { check: 'elicitation-sep1330-enums:elicitation-sep1330-general', revisions: OLDER, why: OWN_QUESTION },
  {
    check: 'server-sse-polling:server-sse-priming-event',
    revisions: OLDER,
    why: 'a stream that can be taken up again is a matter of HTTP',
  },
  {
    check: 'server-sse-polling:server-sse-retry-field',
    revisions: OLDER,
    why: 'a stream that can be taken up again is a matter of HTTP',
  },
  {
    check: 'server-stateless:sep-2575-server-rejects-undeclared-capability',
    revisions: NEWER,
    why: 'no tool needs what a client has not declared: without forms a change is agreed to in another way, or refused in words',
  },
  {
    check: 'server-stateless:sep-2575-missing-capability-http-400',
    revisions: NEWER,
    why: 'no tool needs what a client has not declared: without forms a change is agreed to in another way, or refused in words',
  },
  { check: 'http-custom-header-server-validation:sep-2243-server-no-xmcp-tool', revisions: NEWER, why: NO_HEADERS },
  { check: 'http-custom-header-server-validation:sep-2243-server-decode-base64', revisions: NEWER, why: NO_HEADERS },
  {
    check: 'http-custom-header-server-validation:sep-2243-server-validate-param-match',
    revisions: NEWER,
    why: NO_HEADERS,
  },
  {
    check: 'http-custom-header-server-validation:sep-2243-server-reject-invalid-param-chars',
    revisions: NEWER,
    why: NO_HEADERS,
  },
  {
    check: 'http-custom-header-server-validation:sep-2243-server-reject-param-mismatch',
    revisions: NEWER,
    why: NO_HEADERS,
  },
  {
    check: 'input-required-result-basic-elicitation:sep-2322-elicitation-incomplete',
    revisions: NEWER,
    why: 'the key of the question is of the suite (user_name)',
  },
  { check: 'input-required-result-basic-sampling:sep-2322-sampling-incomplete', revisions: NEWER, why: NO_SAMPLING },
  { check: 'input-required-result-basic-list-roots:sep-2322-list-roots-incomplete', revisions: NEWER, why: NO_ROOTS },
  {
    check: 'input-required-result-request-state:sep-2322-request-state-incomplete',
    revisions: NEWER,
    why: OWN_QUESTION,
  },
  {
    check: 'input-required-result-multiple-input-requests:sep-2322-multiple-inputs-incomplete',
    revisions: NEWER,
    why: 'one question at a time, and none to a model or for roots',
  },
  {
    check: 'input-required-result-multi-round:sep-2322-multi-round-r1',
    revisions: NEWER,
    why: 'one question for each change',
  },
  {
    check: 'input-required-result-non-tool-request:sep-2322-non-tool-incomplete',
    revisions: NEWER,
    why: 'prompts and resources ask nothing',
  },
  {
    check: 'input-required-result-capability-check:sep-2322-respect-client-capabilities',
    revisions: NEWER,
    why: `${NO_SAMPLING}, and the suite's client declares sampling alone`,
  },
  {
    check: 'input-required-result-ignore-extra-params:sep-2322-ignore-unexpected-params',
    revisions: NEWER,
    why: 'the key of the question is of the suite (user_name)',
  },
  {
    check: 'sep-2640-skills-directory:sep-2640-directory-read-subdir-mimetype',
    revisions: NEWER,
    why: 'no folder of a skill has folders in it',
  },
];
